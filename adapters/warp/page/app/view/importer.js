/** Loading one's own usage records: choose a file, check it, import it; what was refused and why, by line. */
import { h, fillDialog, setText, show } from './dom.js';
import { bytes, count, counted, fullMoment, instant } from '../machine/format.js';

const FORMATS = [
  ['', 'Find out by itself'],
  ['litellm', 'LiteLLM spend logs (JSON)'],
  ['openai', 'OpenAI usage (JSON)'],
  ['csv', 'CSV with a header'],
  ['azure', 'Azure LLM trace (CSV)'],
];
const MAX_SHOWN = 100;

export class Importer {
  /** `on`: `importUsage(file, {format, dryRun})`, `summary()`, `changed()`. */
  constructor(dialog, on) {
    this.dialog = dialog;
    this.on = on;
  }

  open() {
    this.file = h('input', { id: 'import-file', type: 'file', accept: '.json,.jsonl,.ndjson,.csv,.txt,application/json,text/csv', onchange: () => this.#chosen() });
    this.format = h('select', { id: 'import-format' }, FORMATS.map(([value, words]) => h('option', { value }, words)));
    this.check = h('button', { class: 'button', type: 'button', disabled: true, onclick: () => this.#send(true) }, 'Check only');
    this.go = h('button', { class: 'button primary', type: 'submit', disabled: true }, 'Import');
    this.result = h('div', { class: 'import-result', role: 'status' });
    this.now = h('p', { class: 'fine' }, '…');
    const form = h('form', { class: 'form' },
      h('label', { class: 'field' }, h('span', {}, 'File'), this.file),
      h('label', { class: 'field' }, h('span', {}, 'Format'), this.format),
      h('div', { class: 'form-buttons' }, this.check, this.go));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send(false);
    });
    fillDialog(this.dialog, 'import-title', 'Usage data', this.now,
      h('p', {}, 'Load the records your provider or gateway keeps, and ask about them. “Check only” reads the whole file and changes nothing. Loading the same file again adds nothing twice.'),
      form, this.result);
    this.dialog.showModal();
    this.file.focus();
    this.#showSummary();
  }

  async #showSummary() {
    try {
      setText(this.now, summaryWords(await this.on.summary()));
    } catch (problem) {
      setText(this.now, problem.text ?? '');
    }
  }

  #chosen() {
    const [file] = this.file.files;
    this.check.disabled = !file;
    this.go.disabled = !file;
    this.result.replaceChildren();
    if (file) this.result.append(h('p', { class: 'fine' }, `${file.name}, ${bytes(file.size)}`));
  }

  async #send(dryRun) {
    const [file] = this.file.files;
    if (!file) return;
    this.check.disabled = true;
    this.go.disabled = true;
    this.result.replaceChildren(h('p', { class: 'fine' }, dryRun ? 'Reading …' : 'Importing …'), h('progress', { class: 'lane-progress', 'aria-label': 'Import' }));
    try {
      const report = await this.on.importUsage(file, { format: this.format.value || null, dryRun });
      this.result.replaceChildren(...reportView(report, dryRun));
      if (!dryRun) {
        this.on.changed();
        this.#showSummary();
      }
    } catch (problem) {
      this.result.replaceChildren(h('p', { class: 'alert', role: 'alert' }, problem.detail ? `${problem.text} ${problem.detail}` : problem.text ?? 'The import failed.'));
    }
    this.check.disabled = false;
    this.go.disabled = false;
  }
}

/** What data there are, in a sentence. */
export function summaryWords(summary) {
  if (!summary?.rows) return 'There are no usage records yet.';
  const day = (value) => fullMoment(instant(value)).replace(/,? \d\d:\d\d:\d\d.*$/, '');
  return `${counted(summary.rows, 'record')}, ${day(summary.first_ts)} to ${day(summary.last_ts)}${summary.synthetic ? ', generated for the demo' : ''}.`;
}

function reportView(report, dryRun) {
  const rejected = Array.isArray(report.rejected) ? report.rejected : [];
  const refused = Number.isFinite(report.rejected) ? report.rejected : rejected.length;
  const cells = [['Read', report.read], [dryRun ? 'Would be imported' : 'Imported', report.imported], ['Already there', report.duplicates], ['Refused', refused]];
  const list = h('ol', { class: 'import-errors' }, rejected.slice(0, MAX_SHOWN).map((r) => h('li', {}, h('strong', {}, r.line ? `Line ${r.line}` : 'File'), ` ${r.reason ?? r.message ?? ''}`)));
  const more = h('p', { class: 'fine' }, `and ${count(refused - MAX_SHOWN)} more`);
  show(list, rejected.length > 0);
  show(more, refused > MAX_SHOWN);
  return [
    h('p', { class: refused ? 'alert' : 'done' }, verdict(report, refused, dryRun)),
    h('dl', { class: 'counts' }, cells.filter(([, n]) => n !== undefined).map(([name, n]) => h('div', {}, h('dt', {}, name), h('dd', {}, count(n))))),
    list,
    more,
  ];
}

function verdict(report, refused, dryRun) {
  if (refused) return dryRun ? 'Some lines would be refused.' : report.imported ? 'Imported, apart from the lines below.' : 'Nothing was imported: the lines below are broken.';
  return dryRun ? 'All lines are fine. Nothing was changed.' : 'Imported.';
}

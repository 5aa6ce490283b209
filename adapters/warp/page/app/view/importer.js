/** Loading one's own usage records: choose a file, check it, import it; what was refused and why, by line. */
import { h, fillDialog, setText } from './dom.js';
import { bytes, count, counted } from '../machine/format.js';
import { summaryWords } from '../machine/usage.js';

const FORMATS = [
  ['', 'Find out by itself'],
  ['litellm', 'LiteLLM spend logs'],
  ['openai-usage', 'OpenAI usage'],
  ['csv', 'CSV with a header'],
  ['azure-trace', 'Azure LLM inference trace'],
];

export class Importer {
  /** `on`: `importUsage(file, {format, model, dryRun, skipBad})`, `summary()`, `changed()`, `limit()` in bytes. */
  constructor(dialog, on) {
    this.dialog = dialog;
    this.on = on;
  }

  open() {
    this.file = h('input', { id: 'import-file', type: 'file', accept: '.json,.jsonl,.ndjson,.csv,.txt,application/json,text/csv', onchange: () => this.#chosen() });
    this.format = h('select', { id: 'import-format' }, FORMATS.map(([value, words]) => h('option', { value }, words)));
    this.model = h('input', { id: 'import-model', maxlength: '200', autocomplete: 'off', placeholder: 'gpt-4o' });
    this.skip = h('input', { id: 'import-skip', type: 'checkbox' });
    this.check = h('button', { class: 'button', type: 'button', disabled: true, onclick: () => this.#send(true) }, 'Check only');
    this.go = h('button', { class: 'button primary', type: 'submit', disabled: true }, 'Import');
    this.result = h('div', { class: 'import-result', role: 'status' });
    this.now = h('p', { class: 'fine' }, '…');
    const form = h('form', { class: 'form' },
      h('label', { class: 'field' }, h('span', {}, 'File'), this.file),
      h('div', { class: 'fields' },
        h('label', { class: 'field' }, h('span', {}, 'Format'), this.format),
        h('label', { class: 'field' }, h('span', {}, 'Model ', h('small', {}, '(if the file names none)')), this.model)),
      h('label', { class: 'check' }, this.skip, 'Import the good lines of a file that has broken ones'),
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
    const tooLarge = Boolean(file) && file.size > this.on.limit();
    this.check.disabled = !file || tooLarge;
    this.go.disabled = !file || tooLarge;
    this.result.replaceChildren();
    if (file) this.result.append(h('p', { class: tooLarge ? 'alert' : 'fine' }, `${file.name}, ${bytes(file.size)}${tooLarge ? `; the limit is ${bytes(this.on.limit())}. Use the command line for larger files: goldenpath import FILE` : ''}`));
  }

  async #send(dryRun) {
    const [file] = this.file.files;
    if (!file) return;
    this.check.disabled = true;
    this.go.disabled = true;
    this.result.replaceChildren(h('p', { class: 'fine' }, dryRun ? 'Reading …' : 'Importing …'), h('progress', { class: 'lane-progress', 'aria-label': 'Import' }));
    try {
      const report = await this.on.importUsage(file, { format: this.format.value || null, model: this.model.value.trim() || null, dryRun, skipBad: this.skip.checked });
      this.result.replaceChildren(...reportView(report));
      if (report.verdict === 'imported') {
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

function reportView(report) {
  const problems = Array.isArray(report.problems) ? report.problems : [];
  const withheld = report.rejected?.withheld ?? 0;
  const broken = Object.values(report.rejected ?? {}).reduce((sum, n) => sum + n, 0) - withheld;
  const tried = report.verdict === 'tried';
  const cells = [['Read', report.read], [tried ? 'Would be imported' : 'Imported', report.imported], ['Already there', report.duplicates], ['Broken', broken], ['Withheld', withheld || undefined]];
  const unpriced = Object.entries(report.unpriced_models ?? {});
  return [
    h('p', { class: report.verdict === 'refused' ? 'alert' : 'done' }, verdictWords(report.verdict, broken)),
    h('dl', { class: 'counts' }, cells.filter(([, n]) => n !== undefined).map(([name, n]) => h('div', {}, h('dt', {}, name), h('dd', {}, count(n))))),
    withheld > 0 && h('p', { class: 'fine' }, `${counted(withheld, 'good line')} withheld: a file with broken lines is imported only when you choose “Import the good lines …”.`),
    problems.length > 0 && h('ol', { class: 'import-errors', 'aria-label': 'Broken lines' }, problems.map((p) => h('li', {}, h('strong', {}, `Line ${count(p.line)}`), ` ${p.message}`))),
    broken > problems.length && h('p', { class: 'fine' }, `and ${count(broken - problems.length)} more`),
    report.days && h('p', { class: 'fine' }, `Days ${report.days[0]} to ${report.days[1]}.`),
    unpriced.length > 0 && h('p', { class: 'fine' }, `No price is known for ${unpriced.map(([model, n]) => `${model} (${counted(n, 'record')})`).join(', ')}.`),
  ].filter(Boolean);
}

function verdictWords(verdict, broken) {
  switch (verdict) {
    case 'refused':
      return 'Nothing was imported: the file has broken lines.';
    case 'tried':
      return broken ? 'Only checked, nothing was changed. The file has broken lines.' : 'All lines are fine. Nothing was changed.';
    default:
      return broken ? 'Imported, apart from the broken lines.' : 'Imported.';
  }
}

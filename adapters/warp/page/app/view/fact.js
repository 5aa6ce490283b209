/** Where a number comes from: its value, the query, the parameters, the rows. */
import { h, icon, copyFrom, fillDialog } from './dom.js';
import { count, counted, fullMoment, instant } from '../machine/format.js';

const TITLE = 'fact-title';
const MAX_ROWS = 200;

/** Opens the dialog at once and fills it when the fact has come. */
export async function openFact(dialog, { id, load, words }) {
  fillDialog(dialog, TITLE, 'Where this number comes from', h('p', { class: 'fact-value' }, words), h('p', { class: 'fine', role: 'status' }, 'Fetching the query …'));
  if (!dialog.open) dialog.showModal();
  dialog.dataset.fact = id;
  try {
    const fact = await load(id);
    if (dialog.dataset.fact !== id) return;
    fillDialog(dialog, TITLE, fact.label || 'Where this number comes from', ...factBody(fact, words, (input) => openFact(dialog, { id: input, load, words: '…' })));
  } catch (problem) {
    fillDialog(dialog, TITLE, 'Where this number comes from', h('p', { class: 'fact-value' }, words),
      h('p', { class: 'alert', role: 'alert' }, problem.text ?? 'This could not be loaded.'));
  }
}

function factBody(fact, words, follow) {
  const sql = typeof fact.query_sql === 'string' ? fact.query_sql.trim() : '';
  const copy = h('button', { class: 'button small quiet', type: 'button', onclick: () => copyFrom(copy, sql) }, icon('copy'), h('span', { class: 'button-label' }, 'Copy'));
  const parameters = parametersOf(fact.params);
  return [
    h('p', { class: 'fact-value' }, fact.display ?? words),
    h('dl', { class: 'fact-about' },
      h('dt', {}, 'Exact value'), h('dd', {}, exactly(fact)),
      h('dt', {}, 'Name'), h('dd', {}, h('code', {}, text(fact.id))),
      ...pair(Number.isInteger(fact.rows), 'Usage rows read', () => [count(fact.rows)]),
      ...pair(fact.computed_at, 'Computed', () => [fullMoment(instant(fact.computed_at))]),
      ...pair(fact.formula, 'Formula', () => [h('code', {}, fact.formula)]),
      ...pair(fact.inputs?.length, 'From', () => fact.inputs.map((input) => h('button', { class: 'link input', type: 'button', onclick: () => follow(input) }, input)))),
    sql && h('div', { class: 'fact-head' }, h('h3', {}, 'Query'), copy),
    sql && h('pre', { class: 'code sql', tabindex: '0' }, h('code', {}, sql)),
    parameters.length > 0 && h('h3', {}, 'Parameters'),
    parameters.length > 0 && h('dl', { class: 'fact-about' }, parameters.flatMap(([name, value]) => [h('dt', {}, h('code', {}, name)), h('dd', {}, text(value))])),
    ...rowsOf(fact.rows),
  ];
}

/** The value to the last digit, money as it is written elsewhere. */
function exactly({ value, unit }) {
  const exact = text(value);
  if (unit === 'usd') return exact.startsWith('-') ? `-$${exact.slice(1)}` : `$${exact}`;
  return `${exact}${unit && unit !== 'number' ? ` ${unit}` : ''}`;
}

function pair(present, name, content) {
  return present ? [h('dt', {}, name), h('dd', {}, content())] : [];
}

function parametersOf(params) {
  if (Array.isArray(params)) return params.map((value, i) => [`?${i + 1}`, value]);
  return params && typeof params === 'object' ? Object.entries(params) : [];
}

function rowsOf(rows) {
  if (!Array.isArray(rows)) return [];
  if (!rows.length) return [h('p', { class: 'fine' }, 'The query gave no rows.')];
  const objects = rows.filter((row) => row && typeof row === 'object');
  const columns = [...new Set(objects.slice(0, MAX_ROWS).flatMap((row) => Object.keys(row)))];
  const shown = rows.slice(0, MAX_ROWS);
  return [
    h('h3', {}, counted(rows.length, 'row')),
    h('div', { class: 'table-wrap fact-rows', tabindex: '0', role: 'region', 'aria-label': 'Rows' },
      h('table', {},
        columns.length > 0 && h('thead', {}, h('tr', {}, columns.map((c) => h('th', { scope: 'col', class: typeof rows[0]?.[c] === 'number' ? 'to-right' : null }, c)))),
        h('tbody', {}, shown.map((row) => h('tr', {}, (columns.length ? columns.map((c) => row?.[c]) : [row]).map((value) =>
          h('td', { class: typeof value === 'number' ? 'to-right' : null }, text(value)))))))),
    rows.length > shown.length && h('p', { class: 'fine' }, `The first ${MAX_ROWS} are shown.`),
  ];
}

function text(value) {
  if (value === null || value === undefined) return '–';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

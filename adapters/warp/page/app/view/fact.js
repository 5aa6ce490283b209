/** Where a number comes from: its value, the query, the parameters, the rows. */
import { h, icon, copyFrom, fillDialog } from './dom.js';
import { counted } from '../machine/format.js';

const TITLE = 'fact-title';
const MAX_ROWS = 200;

/** Opens the dialog at once and fills it when the fact has come. */
export async function openFact(dialog, { load, words }) {
  fillDialog(dialog, TITLE, 'Where this number comes from', h('p', { class: 'fact-value' }, words), h('p', { class: 'fine', role: 'status' }, 'Fetching the query …'));
  dialog.showModal();
  try {
    const fact = await load();
    fillDialog(dialog, TITLE, fact.label || 'Where this number comes from', ...factBody(fact, words));
  } catch (problem) {
    fillDialog(dialog, TITLE, 'Where this number comes from', h('p', { class: 'fact-value' }, words),
      h('p', { class: 'alert', role: 'alert' }, problem.text ?? 'This could not be loaded.'));
  }
}

function factBody(fact, words) {
  const sql = typeof fact.query_sql === 'string' ? fact.query_sql.trim() : '';
  const copy = h('button', { class: 'button small quiet', type: 'button', onclick: () => copyFrom(copy, sql) }, icon('copy'), h('span', { class: 'button-label' }, 'Copy'));
  const parameters = parametersOf(fact.params);
  return [
    h('p', { class: 'fact-value' }, fact.display ?? words),
    h('dl', { class: 'fact-about' },
      h('dt', {}, 'Exact value'), h('dd', {}, `${text(fact.value)}${fact.unit ? ` ${fact.unit}` : ''}`),
      h('dt', {}, 'Fact'), h('dd', {}, h('code', {}, text(fact.id)))),
    sql && h('div', { class: 'fact-head' }, h('h3', {}, 'Query'), copy),
    sql && h('pre', { class: 'code sql', tabindex: '0' }, h('code', {}, sql)),
    parameters.length > 0 && h('h3', {}, 'Parameters'),
    parameters.length > 0 && h('dl', { class: 'fact-about' }, parameters.flatMap(([name, value]) => [h('dt', {}, h('code', {}, name)), h('dd', {}, text(value))])),
    ...rowsOf(fact.rows),
  ];
}

function parametersOf(params) {
  if (Array.isArray(params)) return params.map((value, i) => [`?${i + 1}`, value]);
  return params && typeof params === 'object' ? Object.entries(params) : [];
}

function rowsOf(rows) {
  if (!Array.isArray(rows)) return Number.isInteger(rows) ? [h('p', { class: 'fine' }, `From ${counted(rows, 'row')}.`)] : [];
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

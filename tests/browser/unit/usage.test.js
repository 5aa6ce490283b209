import assert from 'node:assert/strict';
import test from 'node:test';
import { demoWords, originOf, summaryWords } from '../../../adapters/warp/page/app/machine/usage.js';

const summary = (...sources) => ({ rows: 3, first_day: '2026-09-22', last_day: '2026-11-20', sources: sources.map((source) => ({ source, rows: 1 })) });

test('where the records come from is told by the records', () => {
  assert.equal(originOf(summary('demo-synthetic')), 'generated');
  assert.equal(originOf(summary('csv')), 'own');
  assert.equal(originOf(summary('csv', 'demo-synthetic')), 'mixed');
  assert.equal(originOf({ rows: 0, sources: [] }), 'none');
  assert.equal(originOf(null), 'none');
});

test('only generated records are called unreal', () => {
  assert.match(demoWords(summary('demo-synthetic')), /not real spending/);
  assert.match(demoWords(summary('demo-synthetic', 'csv')), /some .* not real spending/);
  for (const other of [summary('csv'), { rows: 0 }, null]) assert.doesNotMatch(demoWords(other), /real/);
  assert.match(demoWords(summary('csv')), /you imported/);
  assert.equal(summaryWords(summary('csv')), '3 records, Sep 22, 2026 to Nov 20, 2026.');
  assert.match(summaryWords(summary('demo-synthetic')), /generated for the demo\.$/);
});

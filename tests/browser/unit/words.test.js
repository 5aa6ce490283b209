import assert from 'node:assert/strict';
import test from 'node:test';
import { announcement, connectionWords } from '../../../adapters/warp/page/app/machine/words.js';

const said = (...entries) => entries.map((entry) => announcement(entry, 'Report')).filter(Boolean).join(' ');

test('an answer that is not whole is not announced as the answer', () => {
  const whole = { type: 'assistant_message', payload: { content: '# Done', partial: false } };
  const part = { type: 'assistant_message', payload: { content: 'So far', partial: true } };
  assert.equal(said(whole, { type: 'run_completed', payload: { status: 'completed' } }), 'The answer is here.');
  assert.equal(said(whole, { type: 'run_completed', payload: { status: 'degraded' } }), 'The answer is here. A part of it is missing.');
  const failed = said(part, { type: 'run_failed', payload: { user_message: 'One of the agents failed.' } });
  assert.equal(failed, 'What was found so far is here. The run failed. One of the agents failed.');
});

test('without a connection nothing is claimed about the other end', () => {
  for (const code of [1006, 1012, 4421]) {
    const { long } = connectionWords({ state: 'waiting', why: { code }, retryInMs: 1_000 });
    assert.doesNotMatch(long, /agents|go on/);
    assert.match(long, /kept/);
  }
});

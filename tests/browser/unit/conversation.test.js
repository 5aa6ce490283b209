import assert from 'node:assert/strict';
import test from 'node:test';
import { Conversation, isActive, lanesOf } from '../../../adapters/warp/page/app/machine/conversation.js';
import { endingWords } from '../../../adapters/warp/page/app/machine/words.js';
import { script } from './script.js';

const folded = (entries) => {
  const conversation = new Conversation();
  entries.forEach((e) => conversation.apply(e));
  return conversation;
};

test('a whole run: its turn, its lanes, the five events, the answer', () => {
  const { entries } = script();
  const conversation = folded(entries);
  assert.equal(conversation.title, 'Analyze my AI costs');
  assert.deepEqual(conversation.turns.map((t) => [t.content, t.runId]), [['Analyze my AI costs', 'run_1']]);
  const run = conversation.runs.get('run_1');
  assert.equal(run.status, 'completed');
  assert.equal(run.answer.content, '# Done');
  assert.deepEqual(run.counts, { agent_started: 3, agent_thinking: 2, tool_executing: 2, tool_completed: 2, agent_completed: 3 });
  assert.deepEqual(lanesOf(run).map((a) => [a.name, a.status]), [['supervisor', 'completed'], ['data', 'completed'], ['report', 'completed']]);
  const data = [...run.agents.values()][1];
  assert.deepEqual(data.feed.map((f) => f.kind), ['thought', 'tool']);
  assert.equal(data.feed[1].status, 'completed');
  assert.deepEqual(data.feed[1].result, { rows: 3 });
});

test('what the plan still holds is shown as planned, each step once', () => {
  const { entries } = script();
  const cut = entries.findIndex((e) => e.type === 'agent_thinking');
  const run = folded(entries.slice(0, cut)).runs.get('run_1');
  assert.deepEqual(lanesOf(run).map((a) => [a.name, a.status]), [['supervisor', 'running'], ['data', 'running'], ['report', 'planned']]);
});

test('replay and live give the same picture, at every cut', () => {
  const { entries } = script();
  const whole = JSON.stringify([...folded(entries).runs.values()].map((r) => ({ ...r, agents: [...r.agents], tools: [...r.tools], entries: r.entries.length })));
  for (let cut = 0; cut <= entries.length; cut += 1) {
    const conversation = folded(entries.slice(0, cut));
    conversation.hint({ type: 'tool_progress', run_id: 'run_1', payload: { tool_call_id: 'tc_1', done: 1, total: 2, text: 'half' } });
    conversation.hint({ type: 'message_snapshot', run_id: 'run_1', payload: { content: '# Do' } });
    entries.slice(cut).map((e) => ({ ...e, replay: true })).forEach((e) => conversation.apply(e));
    const picture = JSON.stringify([...conversation.runs.values()].map((r) => ({ ...r, agents: [...r.agents], tools: [...r.tools], entries: r.entries.length })));
    assert.equal(picture, whole, `cut at ${cut}`);
  }
});

test('text being written: deltas are placed by their offset, and superseded by the message', () => {
  const { entries } = script();
  const end = entries.findIndex((e) => e.type === 'assistant_message');
  const conversation = folded(entries.slice(0, end));
  const hint = (type, payload) => conversation.hint({ type, transient: true, run_id: 'run_1', payload });
  hint('message_snapshot', { content: 'Hello' });
  hint('message_delta', { offset: 5, text: ' wor' });
  hint('message_delta', { offset: 5, text: ' wor' });
  hint('message_delta', { offset: 20, text: 'lost' });
  hint('message_delta', { offset: 9, text: 'ld' });
  const run = conversation.runs.get('run_1');
  assert.equal(run.writing, 'Hello world');
  entries.slice(end).forEach((e) => conversation.apply(e));
  assert.equal(run.writing, null);
  assert.equal(run.answer.content, '# Done');
});

test('every ending has its status, and words of its own where there is no whole answer', () => {
  const cases = [
    ['run_completed', { status: 'completed' }, 'completed', /^$/],
    ['run_completed', { status: 'degraded' }, 'degraded', /One step did not work/],
    ['run_failed', { error: { code: 'storage_unavailable' }, user_message: '' }, 'failed', /cannot be saved/],
    ['run_failed', { error: { code: 'internal' }, user_message: 'Own words.' }, 'failed', /^Own words\.$/],
    ['run_timed_out', { agent: 'data' }, 'timed_out', /the data agent/],
    ['run_cancelled', { reason: 'user' }, 'cancelled', /You stopped it/],
    ['run_cancelled', { reason: 'interrupt' }, 'cancelled', /newer question/],
    ['run_interrupted', { reason: 'crash' }, 'interrupted', /ask again/],
  ];
  for (const [type, payload, status, words] of cases) {
    const { entries } = script();
    const run = folded([...entries.slice(0, 5), { ...entries.at(-1), type, payload: { duration_ms: 5, ...payload } }]).runs.get('run_1');
    assert.equal(run.status, status);
    assert.equal(isActive(run), false);
    assert.match(endingWords(run), words);
  }
});

test('a queued run stays with the question that asked for it', () => {
  const at = (seq, type, payload, run) => ({ seq, epoch: 'e', thread_id: 't', ts_ms: seq, type, payload, ...(run ? { run_id: run } : {}) });
  const conversation = folded([
    at(1, 'thread_created', { title: 'T' }),
    at(2, 'user_message', { message_id: 'm1', content: 'one' }),
    at(3, 'run_queued', { message_id: 'm1', position: 0 }, 'r1'),
    at(4, 'run_started', { attempt: 1 }, 'r1'),
    at(5, 'user_message', { message_id: 'm2', content: 'two' }),
    at(6, 'run_queued', { message_id: 'm2', position: 1 }, 'r2'),
    at(7, 'run_completed', { status: 'completed', duration_ms: 3 }, 'r1'),
  ]);
  assert.deepEqual(conversation.turns.map((t) => [t.content, t.runId]), [['one', 'r1'], ['two', 'r2']]);
  assert.deepEqual([conversation.runs.get('r2').status, conversation.runs.get('r2').position], ['queued', 1]);
  assert.ok(conversation.active);
});

test('events of a later version are ignored', () => {
  const { entries } = script();
  const conversation = folded([...entries, { seq: 99, type: 'agent_dreaming', payload: {}, run_id: 'run_1', agent: { name: 'x', agent_run_id: 'agr_1' } }, { seq: 100, type: 'novelty' }]);
  assert.equal(conversation.runs.get('run_1').status, 'completed');
});

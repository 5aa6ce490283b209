import assert from 'node:assert/strict';
import test from 'node:test';
import { Outbox } from '../../../adapters/warp/page/app/machine/outbox.js';

const message = (id, extra = {}) => ({ id, content: `text ${id}`, thread: 'thr_1', at: 1, ...extra });
const ids = (items) => items.map((i) => i.id);

/** An outbox whose kept state can be looked at, and loaded by the next page. */
function kept() {
  const store = { items: [] };
  return { store, open: () => new Outbox({ load: () => JSON.parse(JSON.stringify(store.items)), save: (items) => { store.items = items; } }) };
}

test('a message keeps its id over a reload, and is sent again', () => {
  const { open } = kept();
  const first = open();
  first.add(message('m1'));
  first.sent(0, 'm1', 'c1');
  const second = open();
  assert.deepEqual(ids(second.sendable(0)), ['m1']);
});

test('an acknowledged message is gone, also after a reload', () => {
  const { open } = kept();
  const outbox = open();
  outbox.add(message('m1'));
  outbox.sent(0, 'm1', 'c1');
  assert.equal(outbox.acknowledged({ client_msg_id: 'm1', thread_id: 'thr_1' }).id, 'm1');
  assert.equal(outbox.acknowledged({ client_msg_id: 'm1', thread_id: 'thr_1' }), null);
  assert.deepEqual(open().items, []);
});

test('what was sent waits for its answer, and goes again when the connection was lost', () => {
  const outbox = new Outbox();
  outbox.add(message('m1'));
  outbox.sent(0, 'm1', 'c1');
  assert.deepEqual(outbox.sendable(14_999), []);
  assert.deepEqual(ids(outbox.sendable(15_000)), ['m1']);
  outbox.sent(15_000, 'm1', 'c2');
  outbox.lost();
  assert.deepEqual(ids(outbox.sendable(15_001)), ['m1']);
});

test('of a new conversation only the first message goes, the others follow into its thread', () => {
  const outbox = new Outbox();
  outbox.add(message('m1', { thread: null, draft: 'd' }));
  outbox.add(message('m2', { thread: null, draft: 'd' }));
  outbox.add(message('m3', { thread: null, draft: 'other' }));
  assert.deepEqual(ids(outbox.sendable(0)), ['m1', 'm3']);
  outbox.sent(0, 'm1', 'c1');
  assert.deepEqual(ids(outbox.sendable(1)), ['m3']);
  outbox.acknowledged({ client_msg_id: 'm1', thread_id: 'thr_9' });
  assert.deepEqual(outbox.sendable(1).map((i) => [i.id, i.thread]), [['m2', 'thr_9'], ['m3', null]]);
});

test('a refusal is kept with its words until the person decides', () => {
  const { open } = kept();
  const outbox = open();
  outbox.add(message('m1'));
  outbox.sent(0, 'm1', 'c1');
  assert.equal(outbox.refused(1, 'c9', { code: 'queue_full' }), null);
  outbox.refused(1, 'c1', { code: 'queue_full', user_message: 'Too many.', retryable: true });
  const again = open();
  assert.deepEqual(again.sendable(1e9), []);
  assert.deepEqual(again.items[0].error, { code: 'queue_full', text: 'Too many.' });
  again.retry('m1');
  assert.deepEqual(ids(again.sendable(0)), ['m1']);
  again.discard('m1');
  assert.deepEqual(again.items, []);
});

test('a refusal that names a time is tried again then, by itself', () => {
  const outbox = new Outbox();
  outbox.add(message('m1'));
  outbox.sent(0, 'm1', 'c1');
  outbox.refused(100, 'c1', { code: 'rate_limited', retryable: true, retry_after_ms: 2_000 });
  assert.deepEqual(outbox.sendable(2_099), []);
  assert.equal(outbox.deadline(), 2_100);
  assert.deepEqual(ids(outbox.sendable(2_100)), ['m1']);
});

test('a refused first message does not hold back the rest of its draft for ever', () => {
  const outbox = new Outbox();
  outbox.add(message('m1', { thread: null, draft: 'd' }));
  outbox.add(message('m2', { thread: null, draft: 'd' }));
  outbox.sent(0, 'm1', 'c1');
  outbox.refused(1, 'c1', { code: 'message_too_large' });
  assert.deepEqual(ids(outbox.sendable(1)), ['m2']);
});

test('what another page left damaged is left out', () => {
  const outbox = new Outbox({ load: () => [null, 4, { id: 'x' }, message('m1')] });
  assert.deepEqual(ids(outbox.items), ['m1']);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { Outbox } from '../../../adapters/warp/page/app/machine/outbox.js';
import { Session } from '../../../adapters/warp/page/app/machine/session.js';
import { script } from './script.js';
import { seeded } from './seeded.js';

/** A session with everything around it replaced by records; `up` says whether the wire takes frames. */
function desk({ log = [], epoch = 'e1', page = 500 } = {}) {
  const world = { sent: [], changes: [], fetched: [], up: true, now: 0, log, epoch, page };
  world.session = new Session({
    outbox: new Outbox(),
    ports: {
      now: () => world.now,
      send: (type, payload) => {
        if (!world.up) return null;
        world.sent.push({ type, payload, id: `c${world.sent.length + 1}` });
        return `c${world.sent.length}`;
      },
      expectReplay: () => {},
      fetchLog: async (id, after) => {
        world.fetched.push(after);
        const entries = world.log.slice(after, after + world.page);
        const next = after + entries.length;
        return { thread_id: id, epoch: world.epoch, head_seq: world.log.length, entries, next_after_seq: next < world.log.length ? next : null };
      },
      emit: (change) => world.changes.push(change),
    },
  });
  return world;
}

const seqs = (world, id = 'thr_1') => world.session.thread(id).log.entries.map((e) => e.seq);
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

test('opening a thread reads its whole log page by page, then asks for what comes after', async () => {
  const { entries } = script();
  const world = desk({ log: entries, page: 4 });
  await world.session.open('thr_1');
  assert.deepEqual(seqs(world), upTo(entries.length));
  assert.ok(world.fetched.length > 3);
  assert.deepEqual(world.sent.at(-1), { type: 'resume', payload: { threads: [{ thread_id: 'thr_1', after_seq: entries.length, epoch: 'e1' }] }, id: world.sent.at(-1).id });
});

test('a reload at any moment of a run restores everything', async () => {
  const { entries } = script();
  for (let cut = 1; cut <= entries.length; cut += 1) {
    const world = desk({ log: entries.slice(0, cut) });
    const opening = world.session.open('thr_1');
    // What happens while the log is still being read comes live, and again in the replay.
    entries.slice(cut).forEach((e) => world.session.handle(e));
    await opening;
    entries.slice(cut).forEach((e) => world.session.handle({ ...e, replay: true }));
    assert.deepEqual(seqs(world), upTo(entries.length), `cut at ${cut}`);
    assert.equal(world.session.thread('thr_1').conversation.runs.get('run_1').answer.content, '# Done');
  }
});

test('a hole is asked for once, and closed', async () => {
  const { entries } = script();
  const world = desk();
  for (const e of entries.slice(0, 3)) world.session.handle(e);
  for (const e of entries.slice(5)) world.session.handle(e);
  const asked = world.sent.filter((f) => f.type === 'gap_request').map((f) => f.payload);
  assert.deepEqual(asked, [{ thread_id: 'thr_1', after_seq: 3, to_seq: 5 }]);
  for (const e of entries.slice(3, 5)) world.session.handle({ ...e, replay: true });
  assert.deepEqual(seqs(world), upTo(entries.length));
});

test('a ping that knows of more than we have finds the hole', () => {
  const { entries } = script();
  const world = desk();
  for (const e of entries.slice(0, 3)) world.session.handle(e);
  world.session.handle({ type: 'ping', payload: { heads: [{ thread_id: 'thr_1', seq: 7 }, { thread_id: 'thr_other', seq: 7 }] } });
  assert.deepEqual(world.sent.map((f) => [f.type, f.payload]), [['gap_request', { thread_id: 'thr_1', after_seq: 3, to_seq: 7 }]]);
  world.session.handle({ type: 'ping', payload: { heads: [{ thread_id: 'thr_1', seq: 3 }] } });
  assert.equal(world.sent.length, 1);
});

test('what cannot be recovered is read anew from its snapshot', async () => {
  const { entries } = script({ epoch: 'e2' });
  const world = desk({ log: entries, epoch: 'e2' });
  for (const e of script().entries.slice(0, 3)) world.session.handle(e);
  world.session.handle({ type: 'connection_ready', payload: { resume: { threads: [{ thread_id: 'thr_1', recovered: false, reason: 'epoch_mismatch' }] } } });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seqs(world), upTo(entries.length));
  assert.equal(world.session.thread('thr_1').log.epoch, 'e2');
});

test('a replay that says it is complete and is not leads to the snapshot', async () => {
  const { entries } = script();
  const world = desk({ log: entries });
  for (const e of entries.slice(0, 3)) world.session.handle(e);
  world.session.handle({ type: 'replay_complete', payload: { thread_id: 'thr_1', to_seq: entries.length } });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seqs(world), upTo(entries.length));
});

test('a message said without a connection goes when there is one, and once more after a loss, with the same id', () => {
  const world = desk();
  world.up = false;
  world.session.say({ id: 'm1', content: 'hello', draft: 'd' });
  assert.deepEqual(world.sent, []);
  world.up = true;
  world.session.handle({ type: 'connection_ready', payload: {} });
  world.session.lost();
  world.session.handle({ type: 'connection_ready', payload: {} });
  const messages = world.sent.filter((f) => f.type === 'user_message');
  assert.deepEqual(messages.map((f) => f.payload), [{ client_msg_id: 'm1', content: 'hello' }, { client_msg_id: 'm1', content: 'hello' }]);
  world.session.handle({ type: 'ack', ref: messages[1].id, payload: { status: 'duplicate', client_msg_id: 'm1', thread_id: 'thr_1', seq: 2 } });
  assert.deepEqual(world.session.outbox.items, []);
});

test('an ack for entries that have not come asks for them', () => {
  const world = desk();
  world.session.handle(script().entries[0]);
  world.session.say({ id: 'm1', content: 'hello', threadId: 'thr_1' });
  world.session.handle({ type: 'ack', payload: { status: 'accepted', client_msg_id: 'm1', thread_id: 'thr_1', seq: 4 } });
  assert.deepEqual(world.sent.at(-1).payload, { threads: [{ thread_id: 'thr_1', after_seq: 1, epoch: 'e1' }] });
});

test('a refused message keeps its words; other errors become notices', () => {
  const world = desk();
  world.session.say({ id: 'm1', content: 'hello', threadId: 'thr_1' });
  world.session.handle({ type: 'error', ref: world.sent[0].id, payload: { code: 'queue_full', user_message: 'Too many.' } });
  assert.deepEqual(world.session.outbox.items[0].error, { code: 'queue_full', text: 'Too many.' });
  world.session.handle({ type: 'error', payload: { code: 'internal', user_message: 'Ours.', request_id: 'req_1' } });
  const notice = world.changes.find((c) => c.what === 'notice');
  assert.deepEqual([notice.text, notice.requestId], ['Ours.', 'req_1']);
});

test('the list shows a thread at work and not any more', () => {
  const { entries } = script();
  const world = desk();
  const running = [];
  for (const e of entries) {
    world.session.handle(e);
    running.push(world.session.list[0].running_run?.status ?? null);
  }
  assert.equal(running[2], 'queued');
  assert.ok(running.slice(3, -1).every((r) => r === 'running'));
  assert.equal(running.at(-1), null);
});

test('losses, duplicates and reconnects in any order: the view equals the log in the end', async () => {
  for (let seed = 1; seed <= 150; seed += 1) {
    const random = seeded(seed);
    const { entries } = script();
    const world = desk({ log: entries });
    let head = 0;
    while (head < entries.length) {
      head += 1;
      if (random() < 0.25) continue; // lost on the way
      world.session.handle(entries[head - 1]);
      if (random() < 0.3) world.session.handle(entries[Math.floor(random() * head)]);
      if (random() < 0.1) world.session.lost();
    }
    // The faults stop: one reconnect with a replay from where we said we were.
    world.session.lost();
    const point = world.session.resumePoints().find((p) => p.thread_id === 'thr_1');
    if (point) {
      for (const e of entries.slice(point.after_seq)) world.session.handle({ ...e, replay: true });
      world.session.handle({ type: 'replay_complete', payload: { thread_id: 'thr_1', to_seq: entries.length } });
    } else {
      await world.session.open('thr_1');
    }
    assert.deepEqual(seqs(world), upTo(entries.length), `seed ${seed}`);
    const shown = world.changes.filter((c) => c.what === 'entries').flatMap((c) => c.entries.map((e) => e.seq));
    assert.deepEqual(shown, upTo(entries.length), `seed ${seed}: shown in order, each once`);
  }
});

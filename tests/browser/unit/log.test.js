import assert from 'node:assert/strict';
import test from 'node:test';
import { ThreadLog, isEntry } from '../../../adapters/warp/page/app/machine/log.js';
import { seeded, shuffled } from './seeded.js';

const entry = (seq, epoch = 'e1') => ({ seq, epoch, thread_id: 'thr_1', type: 'x', payload: {} });
const seqs = (log) => log.entries.map((e) => e.seq);

test('in order, each once, whatever the wire repeats and reorders', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = seeded(seed);
    const size = 1 + Math.floor(random() * 40);
    const wire = shuffled([...Array(size).keys(), ...Array(size).keys()].map((i) => entry(i + 1)), random);
    const log = new ThreadLog('thr_1');
    const applied = wire.flatMap((e) => log.apply(e).entries);
    assert.deepEqual(applied.map((e) => e.seq), seqs(log), `seed ${seed}`);
    assert.deepEqual(seqs(log), Array.from({ length: size }, (_, i) => i + 1), `seed ${seed}`);
    assert.equal(log.hole(), null);
  }
});

test('an entry ahead of its turn names the hole before it', () => {
  const log = new ThreadLog('thr_1');
  log.apply(entry(1));
  assert.deepEqual(log.apply(entry(5)), { kind: 'ahead', entries: [], after: 1, to: 4 });
  assert.deepEqual(log.hole(), { after: 1, to: 4 });
  log.apply(entry(2));
  assert.deepEqual(log.hole(), { after: 2, to: 4 });
  log.apply(entry(3));
  assert.deepEqual(log.apply(entry(4)).entries.map((e) => e.seq), [4, 5]);
});

test('what was applied before is a duplicate', () => {
  const log = new ThreadLog('thr_1');
  log.apply(entry(1));
  assert.equal(log.apply(entry(1)).kind, 'duplicate');
});

test('an entry of another epoch is not mixed in', () => {
  const log = new ThreadLog('thr_1');
  log.apply(entry(1));
  assert.equal(log.apply(entry(2, 'e2')).kind, 'epoch');
  assert.deepEqual(seqs(log), [1]);
});

test('a resume goes on after the last entry without a hole', () => {
  const log = new ThreadLog('thr_1');
  assert.deepEqual(log.point(), { thread_id: 'thr_1', after_seq: 0 });
  log.apply(entry(1));
  log.apply(entry(3));
  assert.deepEqual(log.point(), { thread_id: 'thr_1', after_seq: 1, epoch: 'e1' });
});

test('transient frames and control frames are no entries', () => {
  assert.ok(isEntry(entry(1)));
  assert.ok(!isEntry({ type: 'tool_progress', thread_id: 'thr_1', transient: true }));
  assert.ok(!isEntry({ type: 'ack', payload: { seq: 3 } }));
});

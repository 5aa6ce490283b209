import assert from 'node:assert/strict';
import test from 'node:test';
import { Backoff } from '../../../adapters/warp/page/app/machine/backoff.js';
import { seeded } from './seeded.js';

test('the ceiling doubles from the base and ends at the cap', () => {
  const backoff = new Backoff({ random: () => 0.999_999 });
  const waits = Array.from({ length: 10 }, () => backoff.next());
  assert.deepEqual(waits, [499, 999, 1999, 3999, 7999, 15_999, 29_999, 29_999, 29_999, 29_999]);
});

test('the jitter is full: waits spread over everything below the ceiling', () => {
  const backoff = new Backoff({ random: seeded(7) });
  for (let i = 0; i < 12; i += 1) backoff.next();
  const waits = Array.from({ length: 2_000 }, () => backoff.next());
  assert.ok(waits.every((w) => w >= 0 && w < 30_000));
  for (let decile = 0; decile < 10; decile += 1) {
    const share = waits.filter((w) => Math.floor(w / 3_000) === decile).length;
    assert.ok(share > 120 && share < 290, `decile ${decile}: ${share}`);
  }
});

test('after a success it begins at the base again', () => {
  const backoff = new Backoff({ random: () => 0.5 });
  for (let i = 0; i < 6; i += 1) backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 250);
});

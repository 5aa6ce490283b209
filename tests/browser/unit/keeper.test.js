import assert from 'node:assert/strict';
import test from 'node:test';
import { Connection } from '../../../adapters/warp/page/app/machine/connection.js';
import { Keeper } from '../../../adapters/warp/page/app/machine/keeper.js';

const LOGIN = { refresh: 'r1', expiresAt: 900_000, lifetime: 900_000 };

function keeper(login = LOGIN, random = () => 0) {
  const made = new Keeper({ random });
  made.start(0, login);
  return made;
}

test('a token is renewed in time, once, and the next one again', () => {
  const k = keeper();
  k.tick(719_999);
  assert.equal(k.poll(), null);
  k.tick(720_000);
  assert.deepEqual(k.poll(), { do: 'renew', refresh: 'r1' });
  k.tick(800_000);
  assert.equal(k.poll(), null, 'one at a time: a refresh token is good once');
  k.start(800_000, { refresh: 'r2', expiresAt: 1_700_000, lifetime: 900_000 });
  k.tick(1_519_999);
  assert.equal(k.poll(), null);
  k.tick(1_520_000);
  assert.deepEqual(k.poll(), { do: 'renew', refresh: 'r2' });
});

test('whatever the jitter, it is renewed before the end and not at once', () => {
  for (let n = 0; n < 100; n += 1) {
    const k = keeper(LOGIN, () => n / 100);
    assert.ok(k.at >= 600_000 && k.at <= 890_000, String(k.at));
  }
});

test('what did not reach the server is tried again, with the same token', () => {
  const k = keeper();
  let now = 720_000;
  for (let tries = 0; tries < 20; tries += 1) {
    k.tick(now);
    assert.deepEqual(k.poll(), { do: 'renew', refresh: 'r1' });
    const problem = tries % 2 ? { status: 0 } : { status: 503, retryAfterMs: 1_000 };
    k.failed(now, problem);
    assert.equal(k.poll(), null);
    assert.ok(k.at - now <= 30_000);
    if (tries % 2 === 0) assert.ok(k.at - now >= 1_000);
    now = k.at;
  }
});

test('what the server refuses is the end, and is said once', () => {
  for (const status of [400, 401, 403, 422]) {
    const k = keeper();
    k.tick(720_000);
    k.poll();
    k.failed(720_001, { status });
    assert.deepEqual(k.poll(), { do: 'ended', problem: { status } });
    k.tick(2_000_000);
    assert.equal(k.poll(), null);
    assert.equal(k.expired(2_000_000), false);
  }
});

test('a token that ended unseen is renewed at once; without a refresh token there is nothing to do', () => {
  const k = keeper();
  assert.equal(k.expired(5_000), true);
  assert.deepEqual(k.poll(), { do: 'renew', refresh: 'r1' });
  assert.equal(k.expired(5_001), true);
  assert.equal(k.poll(), null, 'it is on its way');
  const none = keeper({ ...LOGIN, refresh: null });
  none.tick(10_000_000);
  assert.equal(none.poll(), null);
  assert.equal(none.expired(10_000_000), false);
});

test('signing out forgets the token and what was to be done with it', () => {
  const k = keeper();
  k.tick(720_000);
  k.stop();
  assert.equal(k.poll(), null);
  assert.equal(k.able, false);
  k.failed(730_000, { status: 401 });
  assert.equal(k.poll(), null);
});

test('a line that is up hears of the new token, and a line to come is dialled with it', () => {
  const c = new Connection({ client: {}, random: () => 0 });
  const drain = () => {
    const all = [];
    for (let effect = c.poll(); effect; effect = c.poll()) all.push(effect);
    return all;
  };
  c.start(0, 'a1');
  c.opened(0, 'golden.v1');
  c.received(0, JSON.stringify({ type: 'connection_ready', payload: {} }));
  drain();
  c.renew('a2');
  const sent = drain().filter((effect) => effect.do === 'send').map((effect) => JSON.parse(effect.text));
  assert.deepEqual(sent.map(({ type, payload }) => ({ type, payload })), [{ type: 'auth_refresh', payload: { token: 'a2' } }]);
  c.closed(20_000, 4410);
  const said = JSON.stringify(drain());
  assert.ok(said.includes('a2') || c.token === 'a2');
  assert.ok(!said.includes('a1'));
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { Connection, verdictOf } from '../../../adapters/warp/page/app/machine/connection.js';
import { seeded } from './seeded.js';

/** A connection and a record of all it wanted. */
function line({ random = () => 0.5, points = [] } = {}) {
  const c = new Connection({ resumePoints: () => points, random });
  const done = [];
  const drain = () => {
    const fresh = [];
    for (let e = c.poll(); e; e = c.poll()) fresh.push(e);
    done.push(...fresh);
    return fresh;
  };
  return { c, done, drain, sent: () => drain().filter((e) => e.do === 'send').map((e) => JSON.parse(e.text)) };
}

const ready = (extra = {}) => JSON.stringify({ type: 'connection_ready', payload: { heartbeat: { timeout_ms: 75_000 }, resume: { threads: [] }, ...extra } });

/** One that is up. */
function up(options) {
  const l = line(options);
  l.c.start(0, 'token');
  l.c.opened(10, 'golden.v1');
  l.c.received(20, ready());
  l.drain();
  return l;
}

test('the golden path: dial with the token, resume, ready', () => {
  const l = line({ points: [{ thread_id: 'thr_1', after_seq: 4, epoch: 'e1' }] });
  l.c.start(0, 'token');
  assert.deepEqual(l.drain().find((e) => e.do === 'dial'), { do: 'dial', protocols: ['golden.v1', 'jwt.token'] });
  assert.equal(l.c.state, 'connecting');
  l.c.opened(5, 'golden.v1');
  assert.equal(l.c.state, 'authenticating');
  const [resume] = l.sent();
  assert.deepEqual([resume.type, resume.payload], ['resume', { threads: [{ thread_id: 'thr_1', after_seq: 4, epoch: 'e1' }] }]);
  l.c.received(6, ready());
  assert.equal(l.c.state, 'resuming');
  l.c.received(7, JSON.stringify({ type: 'replay_complete', payload: { thread_id: 'thr_1', to_seq: 9 } }));
  assert.equal(l.c.state, 'ready');
});

test('a server that selects another subprotocol is not spoken to (F04, F05)', () => {
  const l = line();
  l.c.start(0, 'token');
  l.c.opened(5, '');
  assert.equal(l.c.state, 'idle');
  assert.equal(l.c.why.code, 'unsupported_version');
  assert.ok(l.drain().every((e) => e.do !== 'send'));
});

test('a subprotocol that is taken off on the way is named in the address instead, every other time (F06)', () => {
  const l = line({ random: () => 0 });
  const dials = () => l.drain().filter((e) => e.do === 'dial');
  const plain = { do: 'dial', protocols: ['golden.v1', 'jwt.token'] };
  const named = { do: 'dial', protocols: [], query: 'protocol=golden.v1' };
  l.c.start(0, 'token');
  assert.deepEqual(dials(), [plain]);
  for (const expected of [named, plain, named]) {
    l.c.closed(10, 1006);
    l.c.tick(l.c.deadline());
    assert.deepEqual(dials(), [expected]);
  }
  l.c.opened(20, '');
  assert.equal(l.c.state, 'authenticating');
  const [auth] = l.sent();
  assert.deepEqual([auth.type, auth.payload.token], ['auth', 'token']);
  l.c.received(21, ready());
  assert.equal(l.c.state, 'ready');
  l.c.closed(30, 1006);
  l.c.tick(l.c.deadline());
  assert.deepEqual(dials(), [named], 'what worked is kept');
});

test('nothing is sent before the connection is ready', () => {
  const l = line();
  l.c.start(0, 'token');
  assert.equal(l.c.send('user_message', {}), null);
  l.c.opened(5, 'golden.v1');
  assert.equal(l.c.send('user_message', {}), null);
  l.c.received(6, ready());
  assert.match(l.c.send('user_message', {}), /^c\d+$/);
});

test('a lost connection waits with full jitter and dials again, ever longer', () => {
  const l = line({ random: () => 0.999_999 });
  l.c.start(0, 'token');
  let now = 0;
  const waits = [];
  for (let i = 0; i < 8; i += 1) {
    l.c.closed(now, 1006);
    assert.equal(l.c.state, 'waiting');
    waits.push(l.c.retryAt - now);
    now = l.c.deadline();
    l.c.tick(now);
    assert.equal(l.c.state, 'connecting');
  }
  assert.deepEqual(waits, [499, 999, 1999, 3999, 7999, 15_999, 29_999, 29_999]);
});

test('the time a disconnect names is kept', () => {
  const l = up();
  l.c.received(30, JSON.stringify({ type: 'disconnect', payload: { code: 1012, reason: 'server_restarting', reconnect: true, reconnect_after_ms: 4_000 } }));
  l.c.closed(40, 1012);
  assert.equal(l.c.state, 'waiting');
  assert.ok(l.c.retryAt >= 4_040);
});

test('a disconnect that says no is obeyed, with its words kept', () => {
  const l = up();
  l.c.received(30, JSON.stringify({ type: 'disconnect', payload: { code: 1012, reason: 'gone_for_good', reconnect: false } }));
  l.c.closed(40, 1012);
  assert.equal(l.c.state, 'idle');
  assert.equal(l.c.why.reason, 'gone_for_good');
  assert.equal(l.c.deadline(), null);
});

test('every close code has its verdict', () => {
  const verdicts = Object.fromEntries([1000, 1001, 1003, 1006, 1007, 1009, 1011, 1012, 1013, 4400, 4401, 4403, 4408, 4409, 4410, 4412, 4420, 4421, 4429, 4440, 4441].map((c) => [c, verdictOf(c)]));
  assert.deepEqual(verdicts, {
    1000: 'stop', 1001: 'retry', 1003: 'stop', 1006: 'retry', 1007: 'stop', 1009: 'retry', 1011: 'retry', 1012: 'retry', 1013: 'retry',
    4400: 'stop', 4401: 'sign_in', 4403: 'stop', 4408: 'once', 4409: 'stop', 4410: 'at_once', 4412: 'stop', 4420: 'retry', 4421: 'retry',
    4429: 'retry', 4440: 'sign_in', 4441: 'sign_in',
  });
});

test('a refused log-in signs out with the server’s words and does not dial again (F36)', () => {
  const l = line();
  l.c.start(0, 'token');
  l.c.opened(5, 'golden.v1');
  l.c.received(6, JSON.stringify({ type: 'error', payload: { code: 'token_expired', user_message: 'Your session has expired.', fatal: true } }));
  l.c.received(7, JSON.stringify({ type: 'disconnect', payload: { code: 4401, reason: 'unauthorized', reconnect: true } }));
  l.c.closed(8, 4401);
  const out = l.drain().find((e) => e.do === 'signed_out');
  assert.equal(out.why.text, 'Your session has expired.');
  assert.equal(l.c.state, 'idle');
  l.c.connectNow(9);
  assert.equal(l.c.state, 'idle');
});

test('4408 is tried again once', () => {
  const l = line();
  l.c.start(0, 'token');
  l.c.opened(5, 'golden.v1');
  l.c.closed(6, 4408);
  assert.equal(l.c.state, 'waiting');
  l.c.tick(l.c.deadline());
  l.c.opened(2_000, 'golden.v1');
  l.c.closed(2_001, 4408);
  assert.equal(l.c.state, 'idle');
});

test('4410 dials at once', () => {
  const l = up();
  l.c.closed(50, 4410);
  assert.equal(l.c.state, 'connecting');
});

test('silence for longer than the heartbeat allows ends the connection', () => {
  const l = up();
  assert.equal(l.c.deadline(), 20 + 75_000);
  l.c.received(1_000, JSON.stringify({ type: 'ping', payload: {} }));
  l.c.tick(75_500);
  assert.equal(l.c.state, 'ready');
  l.c.tick(76_000);
  assert.equal(l.c.state, 'waiting');
  assert.equal(l.c.why.code, 4421);
});

test('a ping is answered with its nonce', () => {
  const l = up();
  l.c.received(30, JSON.stringify({ type: 'ping', payload: { nonce: 7 } }));
  assert.deepEqual(l.sent().map((f) => [f.type, f.payload]), [['pong', { nonce: 7 }]]);
});

test('a dial without an answer is given up and tried again', () => {
  const l = line();
  l.c.start(0, 'token');
  l.c.tick(l.c.deadline());
  assert.equal(l.c.state, 'waiting');
  assert.ok(l.drain().some((e) => e.do === 'hang_up'));
});

test('a replay that never completes does not hold the page for ever', () => {
  const l = line({ points: [{ thread_id: 'thr_1', after_seq: 4, epoch: 'e1' }] });
  l.c.start(0, 'token');
  l.c.opened(5, 'golden.v1');
  l.c.received(6, ready());
  assert.equal(l.c.state, 'resuming');
  l.c.tick(l.c.deadline());
  assert.equal(l.c.state, 'ready');
});

test('a thread that cannot be continued is not waited for', () => {
  const l = line({ points: [{ thread_id: 'thr_1', after_seq: 4, epoch: 'e1' }] });
  l.c.start(0, 'token');
  l.c.opened(5, 'golden.v1');
  l.c.received(6, ready());
  l.c.received(7, JSON.stringify({ type: 'resumed', payload: { threads: [{ thread_id: 'thr_1', recovered: false, reason: 'epoch' }] } }));
  assert.equal(l.c.state, 'ready');
});

test('connect now cuts the wait short', () => {
  const l = up();
  l.c.closed(100, 1006);
  l.c.connectNow(101);
  assert.equal(l.c.state, 'connecting');
});

test('offline is shown, dialled from all the same, and left at once when the network is back', () => {
  const l = up();
  l.c.setOnline(30, false);
  assert.equal(l.c.state, 'ready');
  l.c.closed(40, 1006);
  assert.equal(l.c.state, 'offline');
  assert.equal(l.c.deadline(), l.c.retryAt);
  l.c.setOnline(50, true);
  assert.equal(l.c.state, 'connecting');
});

test('going offline while it waits keeps the retry', () => {
  const l = up();
  l.c.closed(40, 1006);
  const { retryAt } = l.c;
  l.c.setOnline(41, false);
  assert.equal(l.c.state, 'offline');
  l.c.tick(retryAt);
  assert.equal(l.c.state, 'connecting');
});

test('after stop nothing happens any more', () => {
  const l = up();
  l.c.stop();
  l.drain();
  l.c.received(50, ready());
  l.c.closed(51, 1006);
  l.c.tick(1e9);
  assert.equal(l.c.state, 'idle');
  assert.deepEqual(l.drain(), []);
});

test('a connection that was stable starts its backoff anew, a flapping one does not', () => {
  const flap = line({ random: () => 0.999_999 });
  flap.c.start(0, 'token');
  let now = 0;
  for (let i = 0; i < 4; i += 1) {
    flap.c.opened(now, 'golden.v1');
    flap.c.received(now, ready());
    flap.c.closed(now + 100, 1011);
    now = flap.c.retryAt;
    flap.c.tick(now);
  }
  assert.equal(flap.c.backoff.attempt, 4);
  flap.c.opened(now, 'golden.v1');
  flap.c.received(now, ready());
  flap.c.closed(now + 20_000, 1011);
  assert.equal(flap.c.backoff.attempt, 1);
});

test('any inputs in any order: no exception, always a way on or an explained end', () => {
  const frames = ['', '{', 'null', '[]', '{"type":1}', '{"type":"ping"}', '{"type":"disconnect"}', '{"type":"disconnect","payload":{"code":"x","reconnect_after_ms":"y"}}', '{"type":"error","payload":null}', ready(), ready({ resume: null, heartbeat: { timeout_ms: -1 } }), '{"type":"replay_complete","payload":{}}'];
  const codes = [1000, 1001, 1006, 1011, 1012, 4401, 4408, 4409, 4410, 9999, undefined];
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seeded(seed);
    const l = line({ random });
    let now = 0;
    l.c.start(now, 'token');
    for (let step = 0; step < 60; step += 1) {
      now += Math.floor(random() * 40_000);
      const pick = Math.floor(random() * 9);
      if (pick === 0) l.c.opened(now, random() < 0.9 ? 'golden.v1' : '');
      else if (pick <= 3) l.c.received(now, frames[Math.floor(random() * frames.length)]);
      else if (pick === 4) l.c.closed(now, codes[Math.floor(random() * codes.length)]);
      else if (pick === 5) l.c.setOnline(now, random() < 0.5);
      else if (pick === 6) l.c.connectNow(now);
      else if (pick === 7) l.c.send('ping', {});
      else l.c.tick(now);
      l.drain();
      const { state } = l.c;
      assert.ok(['idle', 'connecting', 'authenticating', 'resuming', 'ready', 'waiting', 'offline'].includes(state), state);
      if (state === 'idle') assert.ok(l.c.why !== null, `seed ${seed}: idle without a reason`);
      else assert.ok(l.c.deadline() !== null, `seed ${seed}: ${state} without a deadline`);
    }
  }
});

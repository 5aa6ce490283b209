/**
 * One page's line to the server: dial, authenticate, resume, stay, come back.
 *
 * A machine without sockets, clocks or timers. Tell it what happened (`opened`, `received`, `closed`,
 * `tick`, …) with the time in milliseconds; then drain `poll()` and do what it says. `deadline()` is
 * when it wants the next `tick`. It never throws, whatever the server sends.
 *
 *   idle → connecting → authenticating → resuming → ready
 *             ↑                                       │ lost
 *             └────────── waiting / offline ──────────┘
 */
import { Backoff } from './backoff.js';

export const SUBPROTOCOL = 'golden.v1';

const DIAL_TIMEOUT = 10_000;
const AUTH_TIMEOUT = 15_000;
const RESUME_TIMEOUT = 15_000;
const DEFAULT_SILENCE = 75_000;
/** Up this long, and the next failure counts as the first one. */
const STABLE_AFTER = 10_000;

/** What a close code means for us when no `disconnect` frame went before it. */
const VERDICTS = new Map([
  [1000, 'stop'], [1003, 'stop'], [1007, 'stop'], [4400, 'stop'], [4403, 'stop'], [4409, 'stop'],
  [4412, 'stop'], [4401, 'sign_in'], [4440, 'sign_in'], [4441, 'sign_in'], [4408, 'once'], [4410, 'at_once'],
]);

/** The verdict on a close: `retry`, `at_once`, `once`, `stop` or `sign_in`. */
export function verdictOf(code) {
  return VERDICTS.get(code) ?? 'retry';
}

export class Connection {
  /** `resumePoints()` says where we were. */
  constructor({ resumePoints = () => [], random = Math.random }) {
    this.resumePoints = resumePoints;
    this.backoff = new Backoff({ random });
    this.state = 'idle';
    /** Why it is idle or waiting: `{code, reason, text}`; null when all is well. */
    this.why = null;
    this.token = null;
    this.online = true;
    /** What `connection_ready` said last. */
    this.ready = null;
    this.retryAt = null;
    this.effects = [];
    this.timer = null;
    this.heardAt = null;
    this.readyAt = null;
    this.silence = DEFAULT_SILENCE;
    this.replaying = new Set();
    /** Asked for at the opening, before the connection was ready. */
    this.resumed = new Set();
    this.farewell = null;
    this.lastError = null;
    this.authTimeouts = 0;
    this.counter = 0;
    /** Whether the address names what is spoken, because the subprotocol does not get through. */
    this.inAddress = false;
  }

  /** Whether messages may be sent. */
  get live() {
    return this.state === 'resuming' || this.state === 'ready';
  }

  /** Begins, with an access token. */
  start(now, token) {
    this.token = token;
    this.backoff.reset();
    this.authTimeouts = 0;
    this.#dial(now);
  }

  /** A newer token of the same person: for the line that is up, and for those to come. */
  renew(token) {
    this.token = token;
    if (this.live) this.#write('auth_refresh', { token });
  }

  /** Ends on our side; stays idle until `start`. */
  stop() {
    const connected = this.#hasSocket();
    this.token = null;
    this.#to('idle', null);
    if (connected) this.effects.push({ do: 'hang_up', code: 1000, reason: 'done' });
  }

  /** The person does not want to wait. */
  connectNow(now) {
    if (this.token && !this.#hasSocket()) {
      this.backoff.reset();
      this.#dial(now);
    }
  }

  /** The browser's opinion of the network; a hint, not a truth (a server may be on this machine). */
  setOnline(now, online) {
    this.online = online;
    if (online && this.state === 'offline') this.#dial(now);
    else if (!online && this.state === 'waiting') this.#to('offline', this.why, this.retryAt);
  }

  /** The socket is open. */
  opened(now, protocol) {
    if (this.state !== 'connecting') return;
    const named = this.inAddress && protocol === '';
    if (protocol !== SUBPROTOCOL && !named) {
      this.effects.push({ do: 'hang_up', code: 1000, reason: 'subprotocol' });
      this.#to('idle', { code: 'unsupported_version', text: 'The server does not speak this page’s protocol. Please reload the page.' });
      return;
    }
    this.heardAt = now;
    this.farewell = null;
    this.lastError = null;
    this.#to('authenticating', null);
    this.timer = now + AUTH_TIMEOUT;
    // The token went with the upgrade: a first frame that comes late would find a demo visitor here.
    const threads = this.resumePoints();
    this.resumed = new Set(threads.map((point) => point.thread_id));
    // Without a subprotocol there is none to carry the token.
    if (named) this.#write('auth', { token: this.token, resume: { threads } });
    else if (threads.length) this.#write('resume', { threads });
  }

  /** A text frame came. */
  received(now, text) {
    if (!this.#hasSocket() || this.state === 'connecting') return;
    this.heardAt = now;
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame === null || typeof frame !== 'object' || typeof frame.type !== 'string') return;
    const payload = frame.payload ?? {};
    switch (frame.type) {
      case 'connection_ready':
        this.#becomeReady(now, payload);
        break;
      case 'disconnect':
        this.farewell = payload;
        break;
      case 'error':
        // Only an error that ends the connection explains its end.
        if (payload.fatal === true || this.state === 'authenticating') this.lastError = payload;
        break;
      case 'ping':
        this.#write('pong', payload.nonce === undefined ? {} : { nonce: payload.nonce });
        break;
      case 'resumed':
        for (const point of payload.threads ?? []) if (!point.recovered) this.#replayed(point.thread_id);
        break;
      case 'replay_complete':
        this.#replayed(payload.thread_id ?? frame.thread_id);
        break;
      default:
        break;
    }
    this.effects.push({ do: 'frame', frame });
  }

  /** The socket is gone, whoever closed it. 1006 means without a word. */
  closed(now, code) {
    if (!this.#hasSocket()) return;
    // Refused without a word: perhaps a proxy took the subprotocol off, and the browser did not like
    // the answer. The next time the address says what is spoken; and the time after that not.
    if (this.state === 'connecting' && code === 1006) this.inAddress = !this.inAddress;
    if (this.readyAt !== null && now - this.readyAt >= STABLE_AFTER) this.backoff.reset();
    const said = this.farewell ?? {};
    const meant = Number.isInteger(said.code) ? said.code : code;
    let verdict = verdictOf(meant);
    if (verdict === 'once') verdict = ++this.authTimeouts > 1 ? 'stop' : 'retry';
    if (said.reconnect === false && verdict !== 'sign_in') verdict = 'stop';
    const why = { code: meant, reason: said.reason ?? null, text: this.lastError?.user_message ?? null };
    if (verdict === 'sign_in') {
      this.token = null;
      this.#to('idle', why);
      this.effects.push({ do: 'signed_out', why });
    } else if (verdict === 'stop') {
      this.#to('idle', why);
    } else if (verdict === 'at_once') {
      this.#dial(now);
    } else {
      const notBefore = Number.isFinite(said.reconnect_after_ms) ? said.reconnect_after_ms : 0;
      this.#wait(now, Math.max(notBefore, this.backoff.next()), why);
    }
  }

  /** Time has passed; harmless at any time. */
  tick(now) {
    if (this.timer !== null && now >= this.timer) {
      this.timer = null;
      if (this.state === 'waiting' || this.state === 'offline') this.#dial(now);
      else if (this.state === 'resuming') this.#to('ready', null);
      else if (this.#hasSocket()) this.#lost(now, 'no answer in time');
    }
    if (this.live && now >= this.heardAt + this.silence) this.#lost(now, 'silence');
  }

  /** When `tick` is wanted next; null when nothing is to be waited for. */
  deadline() {
    const times = [];
    if (this.timer !== null) times.push(this.timer);
    if (this.live) times.push(this.heardAt + this.silence);
    return times.length ? Math.min(...times) : null;
  }

  /** Sends a frame and returns its id, to be found again in `ref`; null when not connected. */
  send(type, payload) {
    return this.live ? this.#write(type, payload) : null;
  }

  /** A thread whose replay was asked for later shows as resuming, too. */
  expectReplay(now, threadId) {
    if (!this.live) return;
    this.replaying.add(threadId);
    this.#to('resuming', null);
    this.timer = now + RESUME_TIMEOUT;
  }

  /** The next thing to do, or null. */
  poll() {
    return this.effects.shift() ?? null;
  }

  #becomeReady(now, payload) {
    if (this.state !== 'authenticating') return;
    this.ready = payload;
    this.readyAt = now;
    this.authTimeouts = 0;
    const timeout = payload.heartbeat?.timeout_ms;
    this.silence = Number.isFinite(timeout) && timeout > 0 ? timeout : DEFAULT_SILENCE;
    this.replaying = this.resumed;
    this.#to(this.replaying.size ? 'resuming' : 'ready', null);
    if (this.replaying.size) this.timer = now + RESUME_TIMEOUT;
  }

  #replayed(threadId) {
    this.replaying.delete(threadId);
    if (this.state === 'resuming' && this.replaying.size === 0) this.#to('ready', null);
  }

  #write(type, payload) {
    this.counter += 1;
    const id = `c${this.counter}`;
    this.effects.push({ do: 'send', text: JSON.stringify({ type, id, payload }) });
    return id;
  }

  #dial(now) {
    this.farewell = null;
    this.readyAt = null;
    this.replaying.clear();
    this.#to('connecting', this.why);
    this.timer = now + DIAL_TIMEOUT;
    this.effects.push(
      this.inAddress
        ? { do: 'dial', protocols: [], query: `protocol=${SUBPROTOCOL}` }
        : { do: 'dial', protocols: [SUBPROTOCOL, `jwt.${this.token}`] },
    );
  }

  #lost(now, reason) {
    this.effects.push({ do: 'hang_up', code: 4421, reason });
    this.#wait(now, this.backoff.next(), { code: 4421, reason, text: null });
  }

  #wait(now, delay, why) {
    this.#to(this.online ? 'waiting' : 'offline', why, now + delay);
    this.timer = now + delay;
  }

  #hasSocket() {
    return this.state === 'connecting' || this.state === 'authenticating' || this.live;
  }

  #to(state, why, retryAt = null) {
    if (state !== this.state || state === 'idle') this.timer = null;
    this.state = state;
    this.why = why;
    this.retryAt = retryAt;
    if (state === 'offline') this.timer = retryAt;
    this.effects.push({ do: 'changed', state });
  }
}

/**
 * Keeps a person signed in: says when the access token is to be renewed with the refresh token, which is
 * good once, and what a failure to do so means. Knows no clock, no network and no storage; tell it what
 * happened with the time in milliseconds, then drain `poll()`: `renew` or `ended{problem}`.
 *
 * Where the refresh token is kept, and why there: in the storage of this tab, beside the access token.
 * Not in a cookie, so that no other site can make a browser send it (CSRF); not in storage shared by
 * tabs or kept after the tab is closed, so that what a shared computer keeps opens nothing. Only a demo
 * visitor's is: it is the visitor's one way back, and leads to nobody's account. A script that
 * could read it could use the page anyway; the page runs no script but its own (Content-Security-Policy),
 * and a token that is stolen all the same ends the log-in when it is used the second time.
 */
import { Backoff } from './backoff.js';

/** Renewed this part of its life before its end, but never closer than `CLOSEST`. */
const EARLY = 0.2;
const CLOSEST = 10_000;

export class Keeper {
  constructor({ random = Math.random } = {}) {
    this.random = random;
    this.backoff = new Backoff({ random });
    this.refresh = null;
    this.at = null;
    this.busy = false;
    this.effects = [];
  }

  /** Whether the access token can be renewed at all. */
  get able() {
    return this.refresh !== null;
  }

  /** Somebody is signed in: `refresh` may be null, then there is nothing to keep. */
  start(now, { refresh, expiresAt, lifetime }) {
    this.refresh = refresh ?? null;
    this.busy = false;
    this.backoff.reset();
    // Many tabs that began together do not come back together.
    const early = Math.max(CLOSEST, lifetime * EARLY * (1 + this.random() / 4));
    this.at = this.able ? Math.max(now, expiresAt - early) : null;
  }

  /** Nobody is. */
  stop() {
    this.refresh = null;
    this.at = null;
    this.busy = false;
    this.effects = [];
  }

  /** The server says that the access token is over. True: a new one is on its way. */
  expired(now) {
    if (!this.able) return false;
    if (!this.busy) {
      this.at = now;
      this.tick(now);
    }
    return true;
  }

  /** Time has passed; harmless at any time. */
  tick(now) {
    if (this.busy || this.at === null || now < this.at) return;
    this.busy = true;
    this.effects.push({ do: 'renew', refresh: this.refresh });
  }

  /** It did not work. What the server refuses is over; what did not reach it is tried again. */
  failed(now, problem) {
    if (!this.busy) return;
    this.busy = false;
    const refused = problem.status >= 400 && problem.status < 500 && problem.status !== 408 && problem.status !== 429;
    if (refused) {
      this.stop();
      this.effects.push({ do: 'ended', problem });
      return;
    }
    this.at = now + Math.max(problem.retryAfterMs ?? 0, this.backoff.next());
  }

  /** The next thing to do, or null. */
  poll() {
    return this.effects.shift() ?? null;
  }
}

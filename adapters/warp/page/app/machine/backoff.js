/**
 * How long to wait before dialling again: full jitter, so that a thousand pages that lost the same
 * server do not come back in the same moment (F35).
 */
export class Backoff {
  /** `base` and `cap` in milliseconds; `random` gives numbers in [0, 1). */
  constructor({ base = 500, cap = 30_000, random = Math.random } = {}) {
    this.base = base;
    this.cap = cap;
    this.random = random;
    this.attempt = 0;
  }

  /** The next wait in milliseconds: anything from 0 to a ceiling that doubles up to the cap. */
  next() {
    const ceiling = Math.min(this.cap, this.base * 2 ** Math.min(this.attempt, 30));
    this.attempt += 1;
    return Math.floor(this.random() * ceiling);
  }

  /** It worked; the next failure starts from the base again. */
  reset() {
    this.attempt = 0;
  }
}

/**
 * The page's copy of one thread's log: gap-free, in order, each entry once, whatever the wire repeats,
 * reorders or loses (invariants 5 and 6).
 */

/** Entries kept that came before their turn. */
const MAX_AHEAD = 2_000;

export class ThreadLog {
  constructor(threadId, epoch = null) {
    this.threadId = threadId;
    this.epoch = epoch;
    this.entries = [];
    this.ahead = new Map();
  }

  /** The last position without a hole before it. */
  get last() {
    return this.entries.length;
  }

  /**
   * Takes an entry. Says `{kind, entries}`: `applied` with all entries that are now in order,
   * `duplicate`, `ahead` with the hole as `after` and `to`, or `epoch` when the log is another one.
   */
  apply(entry) {
    if (this.epoch === null || this.epoch === undefined) this.epoch = entry.epoch ?? null;
    if (entry.epoch !== undefined && entry.epoch !== this.epoch) return { kind: 'epoch', entries: [] };
    if (entry.seq <= this.last) return { kind: 'duplicate', entries: [] };
    if (entry.seq > this.last + 1) {
      if (this.ahead.size < MAX_AHEAD) this.ahead.set(entry.seq, entry);
      return { kind: 'ahead', entries: [], after: this.last, to: entry.seq - 1 };
    }
    const applied = [entry];
    this.entries.push(entry);
    for (let next = this.ahead.get(this.last + 1); next; next = this.ahead.get(this.last + 1)) {
      this.ahead.delete(next.seq);
      this.entries.push(next);
      applied.push(next);
    }
    for (const seq of this.ahead.keys()) if (seq <= this.last) this.ahead.delete(seq);
    return { kind: 'applied', entries: applied };
  }

  /** The hole before what came too early, as `{after, to}`; null when there is none. */
  hole() {
    return this.ahead.size ? { after: this.last, to: Math.min(...this.ahead.keys()) - 1 } : null;
  }

  /** Where a resume goes on. */
  point() {
    const point = { thread_id: this.threadId, after_seq: this.last };
    if (this.epoch !== null && this.epoch !== undefined) point.epoch = this.epoch;
    return point;
  }
}

/** Whether a frame is a durable entry of a log. */
export function isEntry(frame) {
  return Number.isInteger(frame.seq) && frame.seq > 0 && typeof frame.thread_id === 'string' && frame.transient !== true;
}

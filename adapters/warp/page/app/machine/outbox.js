/**
 * Messages on their way. One keeps its `client_msg_id` from the first key stroke of "send" until the
 * server has acknowledged that it is stored, over reconnects and reloads: sent again as often as
 * needed, stored once (invariant 4).
 */

const ACK_TIMEOUT = 15_000;
const MAX_ITEMS = 50;

export class Outbox {
  /** `load()` gives what an earlier page kept, `save(items)` keeps it. */
  constructor({ load = () => [], save = () => {} } = {}) {
    this.save = save;
    this.items = load().filter(isItem).map((item) => ({
      ...item,
      state: item.state === 'refused' ? 'refused' : 'queued',
      frame: null,
      due: 0,
    }));
  }

  /** Whether another message may be added. */
  get full() {
    return this.items.length >= MAX_ITEMS;
  }

  /**
   * Takes a message. `thread` is null for a new conversation; messages of the same `draft` follow the
   * first one into the thread it opens.
   */
  add({ id, content, thread = null, draft = null, at }) {
    const item = { id, content, thread, draft, at, state: 'queued', error: null, frame: null, due: 0 };
    this.items.push(item);
    this.#keep();
    return item;
  }

  /** What may be sent now, in order. Of a draft only the first, until its thread exists. */
  sendable(now) {
    const openDrafts = new Set();
    const list = [];
    for (const item of this.items) {
      const opens = item.thread === null;
      const blocked = opens && openDrafts.has(item.draft);
      if (opens && item.state !== 'refused') openDrafts.add(item.draft);
      if (blocked || item.state === 'refused') continue;
      if (item.due <= now) list.push(item);
    }
    return list;
  }

  /** When something becomes sendable or overdue next; null when nothing waits. */
  deadline() {
    const times = this.items.filter((i) => i.state !== 'refused').map((i) => i.due);
    return times.length ? Math.min(...times) : null;
  }

  /** It was handed to the socket in frame `frame`. Without an answer it is sent again. */
  sent(now, id, frame) {
    const item = this.find(id);
    if (!item) return;
    item.state = 'sent';
    item.frame = frame;
    item.due = now + ACK_TIMEOUT;
  }

  /** The socket is gone: whatever was not acknowledged goes again. */
  lost() {
    for (const item of this.items) {
      if (item.state !== 'sent') continue;
      item.state = 'queued';
      item.frame = null;
      item.due = 0;
    }
  }

  /** The server has it. Returns the item, or null when it was acknowledged before. */
  acknowledged({ client_msg_id: id, thread_id: thread }) {
    const item = this.find(id);
    if (!item) return null;
    this.items = this.items.filter((i) => i !== item);
    for (const other of this.items) {
      if (other.thread === null && item.draft !== null && other.draft === item.draft) other.thread = thread;
    }
    this.#keep();
    return { ...item, thread };
  }

  /** The server said no to frame `ref`. Returns the item, or null when the frame was none of ours. */
  refused(now, ref, { code, user_message: text, retryable = false, retry_after_ms: after } = {}) {
    const item = this.items.find((i) => i.frame !== null && i.frame === ref);
    if (!item) return null;
    item.frame = null;
    item.error = { code, text };
    if (retryable && Number.isFinite(after)) {
      item.state = 'queued';
      item.due = now + after;
    } else {
      item.state = 'refused';
    }
    this.#keep();
    return item;
  }

  /** The person wants it sent again. */
  retry(id) {
    const item = this.find(id);
    if (!item) return;
    Object.assign(item, { state: 'queued', error: null, frame: null, due: 0 });
    this.#keep();
  }

  /** The person does not want it any more. */
  discard(id) {
    this.items = this.items.filter((i) => i.id !== id);
    this.#keep();
  }

  /** Those of one thread, or of one draft. */
  of({ thread = null, draft = null }) {
    return this.items.filter((i) => (thread !== null ? i.thread === thread : i.thread === null && i.draft === draft));
  }

  find(id) {
    return this.items.find((i) => i.id === id) ?? null;
  }

  #keep() {
    this.save(this.items.map(({ id, content, thread, draft, at, state, error }) => ({ id, content, thread, draft, at, state, error })));
  }
}

function isItem(value) {
  return value !== null && typeof value === 'object' && typeof value.id === 'string' && typeof value.content === 'string';
}

/**
 * Everything one signed-in person sees: their threads, what is on its way, what the wire says. Joins
 * connection, outbox and logs, and says what has changed; knows no socket, no clock, no document.
 *
 * `ports`: `send(type, payload)` → frame id or null; `points changed` is pulled through
 * `resumePoints()`; `fetchLog(threadId, afterSeq)` → promise of a page of the log;
 * `expectReplay(threadId)`; `now()` in milliseconds; `emit(change)`.
 *
 * Changes: `entries{threadId, entries, replay}` `run{threadId, run}` `thread{threadId}` `threads`
 * `outbox` `acked{item, ack}` `notice{level, text, code?}` `degraded{list}` `expiring{at}` `clock`.
 */
import { Conversation } from './conversation.js';
import { ThreadLog, isEntry } from './log.js';
import { errorWords } from './words.js';
import { instant } from './format.js';

/** Threads followed at once; the one looked at longest ago is let go first. */
const MAX_FOLLOWED = 16;

export class Session {
  constructor({ outbox, ports }) {
    this.outbox = outbox;
    this.ports = ports;
    /** id → `{log, conversation, loading, failed, asked}`, most recently opened last. */
    this.threads = new Map();
    /** The list beside the conversation, newest first. */
    this.list = [];
    /** What to add to our clock to get the server's. */
    this.clockOffset = 0;
    this.degraded = [];
    /** Runs whose stop was asked for. */
    this.stopping = new Set();
  }

  /** Where each followed thread goes on. */
  resumePoints() {
    return [...this.threads.values()].filter((t) => !t.loading && t.log.last > 0).map((t) => t.log.point());
  }

  /** A thread that is known here, or null. */
  thread(id) {
    return this.threads.get(id) ?? null;
  }

  /** Opens a thread: its log over HTTP, then live. */
  async open(id) {
    const known = this.threads.get(id);
    if (known) {
      this.threads.delete(id);
      this.threads.set(id, known);
      if (!known.failed) return;
    }
    await this.reload(id);
  }

  /** Reads a thread anew from its first entry (its copy here cannot be continued). */
  async reload(id) {
    const thread = { log: new ThreadLog(id), conversation: new Conversation(), loading: true, failed: null, asked: null };
    this.threads.set(id, thread);
    this.#letGo(id);
    this.ports.emit({ what: 'thread', threadId: id });
    try {
      let after = 0;
      while (after !== null) {
        const page = await this.ports.fetchLog(id, after);
        if (this.threads.get(id) !== thread) return;
        thread.log.epoch ??= page.epoch ?? null;
        const entries = page.entries ?? [];
        entries.forEach((entry) => this.#apply(thread, entry, true));
        after = entries.length && Number.isInteger(page.next_after_seq) ? page.next_after_seq : null;
      }
      thread.loading = false;
    } catch (error) {
      if (this.threads.get(id) !== thread) return;
      thread.loading = false;
      thread.failed = error;
      this.ports.emit({ what: 'thread', threadId: id });
      return;
    }
    this.ports.emit({ what: 'thread', threadId: id });
    this.#resume(thread);
  }

  /** A thread was deleted. */
  forget(id) {
    this.threads.delete(id);
    this.list = this.list.filter((t) => t.id !== id);
    this.ports.emit({ what: 'threads' });
  }

  /** The list as HTTP gave it; `more` appends. */
  setList(threads, more = false) {
    const known = new Set(threads.map((t) => t.id));
    const rows = threads.map((t) => ({ ...t, running_run: t.running_run ?? (t.running_run_id ? { run_id: t.running_run_id, status: 'running' } : null) }));
    this.list = more ? this.list.filter((t) => !known.has(t.id)).concat(rows) : rows;
    this.ports.emit({ what: 'threads' });
  }

  /** Says something: into the outbox, and on its way when there is a connection. */
  say({ id, content, threadId = null, draft = null }) {
    this.outbox.add({ id, content, thread: threadId, draft, at: this.ports.now() });
    this.ports.emit({ what: 'outbox' });
    this.flush();
  }

  /** Sends what is due. */
  flush() {
    const now = this.ports.now();
    for (const item of this.outbox.sendable(now)) {
      const payload = { client_msg_id: item.id, content: item.content };
      if (item.thread !== null) payload.thread_id = item.thread;
      const frame = this.ports.send('user_message', payload);
      if (frame === null) return;
      this.outbox.sent(now, item.id, frame);
    }
    this.ports.emit({ what: 'outbox' });
  }

  /** Asks for a run's end. False when there is no connection to ask over. */
  stop(run) {
    const frame = this.ports.send(run.status === 'queued' ? 'cancel_queued' : 'cancel_run', { run_id: run.id });
    if (frame === null) return false;
    this.stopping.add(run.id);
    return true;
  }

  /** The connection is gone. */
  lost() {
    this.outbox.lost();
    this.stopping.clear();
    for (const thread of this.threads.values()) thread.asked = null;
    this.ports.emit({ what: 'outbox' });
  }

  /** A frame came. */
  handle(frame) {
    if (isEntry(frame)) {
      this.#entry(frame);
      return;
    }
    const payload = frame.payload ?? {};
    switch (frame.type) {
      case 'connection_ready':
        this.#ready(payload);
        break;
      case 'ack':
        this.#acknowledged(payload);
        break;
      case 'error':
        this.#refused(frame.ref, payload);
        break;
      case 'resumed':
        for (const point of payload.threads ?? []) this.#resumed(point);
        break;
      case 'replay_complete':
        this.#complete(payload.thread_id ?? frame.thread_id, payload.to_seq);
        break;
      case 'ping':
        this.#heads(payload.heads);
        break;
      case 'service_status':
        this.#setDegraded(payload.degraded ?? []);
        break;
      case 'rate_limit':
        this.ports.emit({ what: 'notice', level: 'warn', text: errorWords({ code: 'rate_limited' }) });
        break;
      case 'token_expiring':
        this.ports.emit({ what: 'expiring', at: instant(payload.expires_at) });
        break;
      default:
        if (frame.transient === true || frame.type === 'tool_progress') this.#hint(frame);
    }
  }

  #ready(payload) {
    const server = instant(payload.server_time);
    if (server !== null) {
      this.clockOffset = server - this.ports.now();
      this.ports.emit({ what: 'clock' });
    }
    this.#setDegraded(payload.degraded ?? []);
    for (const point of payload.resume?.threads ?? []) this.#resumed(point);
    for (const thread of this.threads.values()) {
      const asked = (payload.resume?.threads ?? []).some((p) => p.thread_id === thread.log.threadId);
      if (thread.failed && thread.failed.status !== 404) this.reload(thread.log.threadId);
      else if (!asked && !thread.loading && !thread.failed) this.#resume(thread);
    }
    this.flush();
  }

  #resumed(point) {
    const thread = this.threads.get(point.thread_id);
    if (thread && point.recovered === false) this.reload(point.thread_id);
  }

  #entry(entry) {
    this.#updateList(entry);
    let thread = this.threads.get(entry.thread_id);
    if (!thread) {
      if (entry.seq !== 1) return;
      thread = { log: new ThreadLog(entry.thread_id), conversation: new Conversation(), loading: false, failed: null, asked: null };
      this.threads.set(entry.thread_id, thread);
      this.#letGo(entry.thread_id);
    }
    this.#apply(thread, entry, entry.replay === true);
  }

  #apply(thread, entry, replay) {
    const result = thread.log.apply(entry);
    if (result.kind === 'epoch') {
      if (!thread.loading) this.reload(thread.log.threadId);
      return;
    }
    if (result.kind === 'ahead') {
      if (!thread.loading) this.#askFor(thread);
      return;
    }
    if (result.kind !== 'applied') return;
    if (thread.asked !== null && thread.log.last >= thread.asked) thread.asked = null;
    const runs = new Set();
    for (const e of result.entries) {
      const run = thread.conversation.apply(e);
      if (run) runs.add(run);
      if (e.type.startsWith('run_') && run && run.status !== 'queued' && run.status !== 'running') this.stopping.delete(run.id);
    }
    this.ports.emit({ what: 'entries', threadId: thread.log.threadId, entries: result.entries, replay });
    for (const run of runs) this.ports.emit({ what: 'run', threadId: thread.log.threadId, run });
  }

  /** Asks for a hole, once; it is asked for again when the connection is new or a ping shows it. */
  #askFor(thread) {
    const hole = thread.log.hole();
    if (!hole || (thread.asked !== null && hole.to <= thread.asked)) return;
    const frame = this.ports.send('gap_request', { thread_id: thread.log.threadId, after_seq: hole.after, to_seq: hole.to });
    if (frame !== null) thread.asked = hole.to;
  }

  #resume(thread) {
    const frame = this.ports.send('resume', { threads: [thread.log.point()] });
    if (frame !== null) this.ports.expectReplay?.(thread.log.threadId);
  }

  #complete(threadId, toSeq) {
    const thread = this.threads.get(threadId);
    if (!thread || thread.loading) return;
    thread.asked = null;
    if (Number.isInteger(toSeq) && thread.log.last < toSeq) this.reload(threadId);
  }

  /** A ping tells how far each thread is; whoever is behind twice in a row has a hole. */
  #heads(heads) {
    const list = Array.isArray(heads) ? heads : Object.entries(heads ?? {}).map(([thread_id, seq]) => ({ thread_id, seq }));
    for (const { thread_id: id, seq } of list) {
      const thread = this.threads.get(id);
      if (!thread || thread.loading || !(seq > thread.log.last)) continue;
      this.ports.send('gap_request', { thread_id: id, after_seq: thread.log.last, to_seq: seq });
    }
  }

  #acknowledged(ack) {
    const item = this.outbox.acknowledged(ack);
    this.ports.emit({ what: 'outbox' });
    if (!item) return;
    this.ports.emit({ what: 'acked', item, ack });
    const thread = this.threads.get(ack.thread_id);
    if (!thread) this.open(ack.thread_id);
    else if (!thread.loading && thread.log.last < (ack.seq ?? 0)) this.#resume(thread);
    this.flush();
  }

  #refused(ref, error) {
    const item = ref === undefined || ref === null ? null : this.outbox.refused(this.ports.now(), ref, error);
    if (item) this.ports.emit({ what: 'outbox' });
    else if (error.code === 'thread_not_found') this.ports.emit({ what: 'threads' });
    else this.ports.emit({ what: 'notice', level: error.fatal ? 'error' : 'warn', text: errorWords(error), code: error.code, requestId: error.request_id });
  }

  #hint(frame) {
    const id = frame.thread_id ?? frame.payload?.thread_id;
    const run = this.threads.get(id)?.conversation.hint(frame);
    if (run) this.ports.emit({ what: 'run', threadId: id, run });
  }

  #setDegraded(list) {
    this.degraded = Array.isArray(list) ? list : [];
    this.ports.emit({ what: 'degraded', list: this.degraded });
  }

  #updateList(entry) {
    let row = this.list.find((t) => t.id === entry.thread_id);
    const at = entry.ts ?? null;
    const payload = entry.payload ?? {};
    if (!row) {
      if (entry.type !== 'thread_created') return;
      row = { id: entry.thread_id, title: payload.title ?? '', created_at: at, updated_at: at, running_run: null };
      this.list.unshift(row);
    } else if (entry.type === 'thread_updated') row.title = payload.title ?? row.title;
    else if (entry.type === 'run_queued' || entry.type === 'run_started') {
      if (entry.type === 'run_started' || !row.running_run) row.running_run = { run_id: entry.run_id, status: entry.type.slice(4) === 'queued' ? 'queued' : 'running' };
    } else if (/^run_(completed|failed|timed_out|cancelled|interrupted)$/.test(entry.type)) {
      if (row.running_run?.run_id === entry.run_id) row.running_run = null;
    } else if (entry.type === 'user_message') {
      row.updated_at = at;
      this.list = [row, ...this.list.filter((t) => t !== row)];
    } else return;
    this.ports.emit({ what: 'threads' });
  }

  #letGo(keep) {
    for (const [id, thread] of this.threads) {
      if (this.threads.size <= MAX_FOLLOWED) return;
      if (id === keep || thread.conversation.active) continue;
      this.threads.delete(id);
      this.ports.send('unsubscribe', { thread_id: id });
    }
  }
}

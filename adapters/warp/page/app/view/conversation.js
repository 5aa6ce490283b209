/** One thread on the screen: turns, their runs, and what is still on its way. */
import { byId, h, icon } from './dom.js';
import { RunView } from './run.js';
import { agentName, fullMoment, moment } from '../machine/format.js';
import { isActive } from '../machine/conversation.js';
import { errorWords } from '../machine/words.js';

const SUGGESTIONS = ['Analyze my AI costs', 'Which models cost the most?', 'How can I spend less?', 'What can you do?'];

const TEAM = [
  ['supervisor', 'Plans the work and sees it through'],
  ['triage', 'Finds out what you want to know'],
  ['data', 'Computes it from your usage records, in SQL'],
  ['optimization', 'Looks for what can be saved'],
  ['report', 'Writes the answer, every number with its source'],
];

export class ConversationView {
  /** `on`: everything `RunView` wants, and `say(text)`, `retry(id)`, `discard(id)`, `reload()`. */
  constructor(on) {
    this.on = on;
    this.root = byId('conversation');
    this.scroller = byId('scroller');
    this.images = new Map();
    this.key = null;
    /** Whether what is new comes into view: until one scrolls away from the end, and again from one's next question on. */
    this.following = true;
    this.scroller.addEventListener('scroll', () => { this.following = this.#atEnd(); }, { passive: true });
    this.clear();
  }

  clear() {
    this.turns = new Map();
    this.runs = new Map();
    this.pending = new Map();
    this.placeholder = null;
    this.root.replaceChildren();
    for (const url of this.images.values()) Promise.resolve(url).then((u) => u && URL.revokeObjectURL(u), () => {});
    this.images.clear();
  }

  /** Shows a thread (or a new one, when `thread` is null) with what is on its way to it. */
  update({ key, thread, outbox, stopping }) {
    if (key !== this.key) {
      this.key = key;
      this.clear();
      this.scroller.scrollTop = 0;
      this.following = true;
      this.fresh = true;
    }
    const conversation = thread?.conversation ?? null;
    const turns = conversation?.turns ?? [];
    if (thread && this.thread !== thread) {
      // The log was read anew: so is its picture.
      this.clear();
      this.thread = thread;
    }
    let answeredNow = null;
    for (const turn of turns) {
      const view = this.#turn(turn);
      const run = turn.runId ? conversation.runs.get(turn.runId) : null;
      if (!run) continue;
      let runView = this.runs.get(run.id);
      if (!runView) {
        runView = new RunView(run, { ...this.on, questionOf: () => turn.content, image: (id, name) => this.#image(id, name) });
        this.runs.set(run.id, runView);
        view.element.append(runView.element);
      }
      const before = runView.element.dataset.answered;
      runView.update({ stopping: stopping.has(run.id) });
      if (before !== 'yes' && run.answer && !this.fresh && turn === turns.at(-1)) answeredNow = view;
    }
    if (this.#updatePending(outbox, turns)) this.following = true;
    const follow = this.following;
    this.#updatePlaceholder({ thread, empty: turns.length === 0 && outbox.length === 0 });
    if (answeredNow && follow) this.#scrollTo(answeredNow.element);
    else if ((follow || this.fresh) && (turns.length || this.pending.size)) this.#toEnd(turns, conversation);
    if (turns.length && !thread?.loading) this.fresh = false;
  }

  /** Time has passed. */
  tick() {
    for (const view of this.runs.values()) if (isActive(view.run)) view.tick();
  }

  #turn(turn) {
    let view = this.turns.get(turn.messageId);
    if (!view) {
      const id = `turn-${this.turns.size}`;
      view = {
        element: h('article', { class: 'turn', 'aria-labelledby': id },
          h('div', { class: 'ask' }, h('h2', { class: 'visually-hidden' }, 'Question'), h('p', { class: 'ask-text', id }, turn.content),
            h('time', { class: 'ask-time', datetime: turn.at ? new Date(turn.at).toISOString() : null, title: fullMoment(turn.at) }, moment(turn.at, this.on.now())))),
      };
      this.turns.set(turn.messageId, view);
      this.root.append(view.element);
    }
    return view;
  }

  /** Shows what is on its way to this thread; true when something has just been asked. */
  #updatePending(outbox, turns) {
    let asked = false;
    const arrived = new Set(turns.map((t) => t.clientMsgId));
    const wanted = outbox.filter((item) => !arrived.has(item.id));
    const ids = new Set(wanted.map((item) => item.id));
    for (const [id, view] of this.pending) {
      if (ids.has(id)) continue;
      view.element.remove();
      this.pending.delete(id);
    }
    for (const item of wanted) {
      let view = this.pending.get(item.id);
      if (!view) {
        view = { state: h('p', { class: 'pending-state' }) };
        view.element = h('article', { class: 'turn pending' }, h('div', { class: 'ask' }, h('h2', { class: 'visually-hidden' }, 'Question, on its way'), h('p', { class: 'ask-text' }, item.content), view.state));
        this.pending.set(item.id, view);
        asked = true;
      }
      this.root.append(view.element);
      const key = `${item.state}${item.error?.code ?? ''}`;
      if (view.key === key) continue;
      view.key = key;
      view.element.dataset.state = item.state;
      if (item.state === 'refused') {
        view.state.setAttribute('role', 'alert');
        view.state.replaceChildren(icon('warn'), h('span', {}, errorWords(item.error)),
          h('button', { class: 'button small', type: 'button', onclick: () => this.on.retry(item.id) }, 'Try again'),
          h('button', { class: 'button small quiet', type: 'button', onclick: () => this.on.discard(item.id) }, 'Discard'));
      } else {
        view.state.removeAttribute('role');
        view.state.replaceChildren(item.error ? errorWords(item.error) : item.state === 'sent' ? 'Sending …' : 'Waits for the connection …');
      }
    }
    return asked;
  }

  #updatePlaceholder({ thread, empty }) {
    const kind = thread?.failed ? 'failed' : thread?.loading && empty ? 'loading' : empty ? 'empty' : null;
    if (this.placeholder?.kind === kind) return;
    this.placeholder?.element.remove();
    this.placeholder = null;
    if (kind === null) return;
    const element = kind === 'empty' ? this.#invitation()
      : kind === 'loading' ? h('p', { class: 'placeholder', role: 'status' }, 'Loading the conversation …')
        : h('div', { class: 'placeholder', role: 'alert' }, h('p', {}, thread.failed.text ?? 'This conversation could not be loaded.'), h('button', { class: 'button', type: 'button', onclick: () => this.on.reload() }, 'Try again'));
    this.placeholder = { kind, element };
    this.root.append(element);
  }

  #invitation() {
    return h('div', { class: 'invitation' },
      h('h2', { class: 'invitation-title' }, 'What would you like to know?'),
      h('ul', { class: 'suggestions' }, SUGGESTIONS.map((text) => h('li', {}, h('button', { class: 'suggestion', type: 'button', onclick: () => this.on.say(text) }, text)))),
      h('div', { class: 'team-intro' },
        h('p', { class: 'fine' }, 'These work on your question; you see each step as it happens.'),
        h('ol', { class: 'team-list' }, TEAM.map(([name, words]) => h('li', { 'data-agent': name }, h('strong', {}, agentName(name)), h('span', {}, words))))));
  }

  /** A chart's blob URL; fetched once. */
  #image(runId, name) {
    const key = `${runId}/${name}`;
    if (!this.images.has(key)) {
      const url = this.on.image(runId, name).then((blob) => URL.createObjectURL(blob));
      url.catch(() => this.images.delete(key));
      this.images.set(key, url);
    }
    return this.images.get(key);
  }

  #atEnd() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < 120;
  }

  /** The newest turn: its end while agents work, its beginning once there is something to read. */
  #toEnd(turns, conversation) {
    const last = turns.at(-1);
    const run = last && conversation.runs.get(last.runId);
    if (run?.answer && this.pending.size === 0) {
      if (this.fresh) this.#scrollTo(this.turns.get(last.messageId).element, 'instant');
    } else {
      this.scroller.scrollTop = this.scroller.scrollHeight;
    }
  }

  #scrollTo(element, behavior) {
    const calm = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.scroller.scrollTo({ top: element.offsetTop - 16, behavior: behavior ?? (calm ? 'instant' : 'smooth') });
  }
}


/** One run: its team at work, and its answer beside it. */
import { h, icon, setData, setText, show, copyFrom } from './dom.js';
import { LaneView } from './lane.js';
import { RawEvents } from './raw.js';
import { renderBlocks } from './markdown.js';
import { Roving } from './roving.js';
import { count, counted, duration } from '../machine/format.js';
import { CRITICAL, isActive, lanesOf } from '../machine/conversation.js';
import { parseMarkdown } from '../machine/markdown.js';
import { RUN_WORDS, endingWords } from '../machine/words.js';

const COUNT_WORDS = ['started', 'thinking', 'tools called', 'tools answered', 'completed'];

export class RunView {
  /** `on`: `stop(run)`, `ask(text)`, `openFact(runId, factId, words)`, `image(runId, name)`, `download(runId, name)`, `now()`. */
  constructor(run, on) {
    this.run = run;
    this.on = on;
    this.lanes = new Map();
    this.answerShown = null;
    this.stopping = false;
    this.dot = h('span', { class: 'run-dot', 'aria-hidden': 'true' });
    this.words = h('span', { class: 'run-words' });
    this.time = h('span', { class: 'run-time' });
    this.stop = h('button', { class: 'button small stop', type: 'button', onclick: () => this.#askStop() }, icon('stop'), h('span', { class: 'button-label' }, 'Stop'));
    this.counts = CRITICAL.map((type, i) => {
      const number = h('strong', {}, '0');
      return { number, element: h('li', { title: type, 'data-event': type }, number, ` ${COUNT_WORDS[i]}`) };
    });
    this.five = h('ul', { class: 'five', 'aria-label': 'The five events, counted' }, this.counts.map((c) => c.element));
    this.laneList = h('ol', { class: 'lanes' });
    this.ending = h('p', { class: 'ending', hidden: true });
    this.raw = new RawEvents();
    this.team = h('section', { class: 'team', 'aria-label': 'Agents', tabindex: '-1' },
      h('header', { class: 'run-head' }, this.dot, this.words, this.time, this.stop),
      this.laneList,
      h('footer', { class: 'run-foot' }, this.five, this.raw.element));
    this.report = h('div', { class: 'report' });
    this.numbers = new Roving(this.report, '.fact');
    this.numbersHint = h('p', { class: 'numbers-hint fine', id: `numbers-${run.id}`, hidden: true }, h('kbd', {}, '←'), ' ', h('kbd', {}, '→'), ' go from number to number, ', h('kbd', {}, 'Tab'), ' goes on');
    this.partial = h('p', { class: 'partial', hidden: true }, icon('warn'), 'This answer is not whole: it is what there was when the run ended.');
    this.copy = h('button', { class: 'button small quiet', type: 'button', onclick: () => copyFrom(this.copy, this.run.answer?.content ?? '') }, icon('copy'), h('span', { class: 'button-label' }, 'Copy as Markdown'));
    this.answer = h('section', { class: 'answer', 'aria-label': 'Answer', hidden: true }, this.partial, this.report, this.numbersHint, h('footer', { class: 'answer-foot' }, this.copy));
    this.element = h('div', { class: 'run', 'data-run': run.id }, h('div', { class: 'result' }, this.ending, this.answer), this.team);
  }

  /** Shows the run as it is now. `stopping`: its end was asked for. */
  update({ stopping = false } = {}) {
    const { run } = this;
    this.stopping = stopping && isActive(run);
    setData(this.element, 'status', run.status);
    setData(this.element, 'answered', run.answer || run.writing ? 'yes' : 'no');
    setText(this.words, this.#headline());
    if (!isActive(run)) this.#keepFocus();
    show(this.stop, isActive(run));
    this.stop.disabled = this.stopping;
    setText(this.stop.querySelector('.button-label'), this.stopping ? 'Stopping …' : run.status === 'queued' ? 'Take back' : 'Stop');
    CRITICAL.forEach((type, i) => setText(this.counts[i].number, count(run.counts[type])));
    show(this.five, run.startedAt !== null);
    this.#updateLanes();
    const ending = endingWords(run);
    show(this.ending, Boolean(ending));
    if (ending && this.ending.dataset.status !== run.status) {
      setData(this.ending, 'status', run.status);
      this.ending.replaceChildren(icon(run.status === 'cancelled' ? 'stop' : 'warn'), h('span', {}, ending), ...this.#again());
    }
    this.#updateAnswer();
    this.raw.update(run);
    this.tick();
  }

  /** Time has passed. */
  tick() {
    const { run } = this;
    if (run.startedAt === null) {
      setText(this.time, '');
      return;
    }
    const now = this.on.now();
    const total = run.endedAt !== null ? run.endedAt - run.startedAt : Math.max(1, now - run.startedAt);
    setText(this.time, duration(run.durationMs ?? total));
    for (const [id, lane] of this.lanes) {
      const agent = run.agents.get(id);
      if (agent) lane.tick(agent, { from: run.startedAt, total, now: run.endedAt ?? now });
    }
  }

  #headline() {
    const { run } = this;
    if (this.stopping) return 'Stopping …';
    if (run.status === 'queued') return run.position > 0 ? `${RUN_WORDS.queued}: ${counted(run.position, 'question')} before it` : RUN_WORDS.queued;
    if (run.status === 'running') {
      const working = [...run.agents.values()].filter((a) => a.status === 'running' && a.parent !== null).at(-1);
      const again = run.attempt > 1 ? ' (taken up again after an interruption)' : '';
      return working && working.step > 0 ? `Step ${working.step} of ${working.of}${again}` : `${RUN_WORDS.running}${again}`;
    }
    return RUN_WORDS[run.status] ?? run.status;
  }

  #updateLanes() {
    const lanes = lanesOf(this.run);
    const wanted = new Set(lanes.map((a) => a.id));
    for (const [id, lane] of this.lanes) {
      if (wanted.has(id)) continue;
      lane.element.remove();
      this.lanes.delete(id);
    }
    lanes.forEach((agent, i) => {
      let lane = this.lanes.get(agent.id);
      if (!lane) {
        lane = new LaneView(agent);
        this.lanes.set(agent.id, lane);
      }
      if (this.laneList.children[i] !== lane.element) this.laneList.insertBefore(lane.element, this.laneList.children[i] ?? null);
      lane.update(agent);
    });
    show(this.laneList, lanes.length > 0);
  }

  #updateAnswer() {
    const { run } = this;
    const text = run.answer?.content ?? run.writing;
    show(this.answer, text !== null && text !== undefined);
    show(this.partial, run.answer?.partial === true);
    show(this.copy, run.answer !== null);
    if (text === this.answerShown || text === null || text === undefined) return;
    this.answerShown = text;
    this.report.replaceChildren(...renderBlocks(parseMarkdown(text), {
      fact: (id, words) => this.on.openFact(run.id, id, words),
      image: (name) => this.on.image(run.id, name),
      download: (name) => this.on.download(run.id, name),
    }));
    this.numbers.renew(this.numbersHint.id);
    show(this.numbersHint, this.numbers.items.length > 1);
  }

  #again() {
    const question = this.on.questionOf(this.run);
    const offered = ['failed', 'timed_out', 'interrupted', 'cancelled'].includes(this.run.status) && question;
    return offered ? [h('button', { class: 'button small', type: 'button', onclick: () => this.on.ask(question) }, 'Ask again')] : [];
  }

  /** Whoever has pressed the button is not thrown to the top of the page when it goes. */
  #keepFocus() {
    if (document.activeElement === this.stop) this.team.focus({ preventScroll: true });
  }

  #askStop() {
    this.#keepFocus();
    this.stop.disabled = true;
    this.on.stop(this.run);
  }
}

/** One agent's lane: who, what now, how long; opened, every thought and tool. */
import { h, icon, setData, setText, show } from './dom.js';
import { agentName, count, counted, duration, oneLine } from '../machine/format.js';
import { CRITICAL } from '../machine/conversation.js';
import { WORK_WORDS, errorWords } from '../machine/words.js';

const GLYPHS = { completed: 'check', degraded: 'warn', failed: 'warn', timed_out: 'warn', cancelled: 'stop', skipped: 'chevron', abandoned: 'warn' };
const PIP_WORDS = ['started', 'thinking', 'tool called', 'tool answered', 'done'];

export class LaneView {
  constructor(agent) {
    this.touched = false;
    this.items = [];
    this.status = null;
    this.glyph = h('span', { class: 'lane-glyph', 'aria-hidden': 'true' });
    this.name = h('span', { class: 'lane-name' });
    this.state = h('span', { class: 'lane-state' });
    this.now = h('span', { class: 'lane-now' });
    this.pips = CRITICAL.map((type, i) => h('span', { class: 'pip', title: `${type}: ${PIP_WORDS[i]}` }));
    this.bar = h('span', { class: 'lane-bar' });
    this.track = h('span', { class: 'lane-track', 'aria-hidden': 'true' }, this.bar);
    this.time = h('span', { class: 'lane-time' });
    this.task = h('p', { class: 'lane-task' });
    this.progress = h('progress', { class: 'lane-progress', max: '1', 'aria-label': 'Progress', hidden: true });
    this.feed = h('ol', { class: 'feed' });
    this.note = h('p', { class: 'lane-error', hidden: true });
    this.details = h('details', { class: 'lane-details' },
      h('summary', { class: 'lane-summary', onclick: () => { this.touched = true; } },
        this.glyph, this.name, this.state, this.now, h('span', { class: 'pips', 'aria-hidden': 'true' }, this.pips), this.track, this.time),
      h('div', { class: 'lane-body' }, this.task, this.progress, this.feed, this.note));
    this.element = h('li', { class: 'lane', 'data-agent': agent.name }, this.details);
    this.ticks = [];
  }

  /** Shows the agent as it is now. */
  update(agent) {
    setData(this.element, 'status', agent.status);
    setText(this.name, agent.title || agentName(agent.name));
    setText(this.state, WORK_WORDS[agent.status] ?? agent.status);
    setText(this.now, nowWords(agent));
    this.now.title = this.now.textContent;
    setText(this.task, agent.task);
    show(this.task, Boolean(agent.task) && agent.status !== 'planned');
    this.pips.forEach((pip, i) => setData(pip, 'seen', agent.seen.has(CRITICAL[i]) ? 'yes' : 'no'));
    const progress = agent.status === 'running' ? agent.progress : null;
    show(this.progress, progress !== null);
    if (progress) {
      this.progress.value = Math.min(1, progress.done / progress.total);
      this.progress.setAttribute('aria-label', `${count(progress.done)} of ${count(progress.total)}`);
    }
    show(this.note, Boolean(agent.error));
    if (agent.error) setText(this.note, agent.error.user_message ?? agent.error.message ?? errorWords(agent.error));
    this.#updateFeed(agent);
    if (agent.status !== this.status) {
      this.status = agent.status;
      this.glyph.replaceChildren(GLYPHS[agent.status] ? icon(GLYPHS[agent.status]) : h('span', { class: 'lane-dot' }));
      if (!this.touched) this.details.open = agent.status === 'running' && agent.parent !== null;
    }
  }

  /** Places the bar on the run's time line; `from` and `total` in milliseconds. */
  tick(agent, { from, total, now }) {
    if (agent.startedAt === null) {
      setText(this.time, '');
      return;
    }
    const begun = agent.startedAt - from;
    const took = agent.endedAt === null ? Math.max(0, now - agent.startedAt) : agent.endedAt - agent.startedAt;
    setText(this.time, duration(agent.durationMs ?? took));
    place(this.bar, begun, took, total);
    const tools = agent.feed.filter((item) => item.kind === 'tool');
    while (this.ticks.length < tools.length) {
      const tick = h('span', { class: 'lane-tick' });
      this.ticks.push(tick);
      this.track.append(tick);
    }
    tools.forEach((tool, i) => {
      setData(this.ticks[i], 'status', tool.status);
      place(this.ticks[i], tool.startedAt - from, (tool.endedAt ?? now) - tool.startedAt, total);
    });
  }

  #updateFeed(agent) {
    agent.feed.forEach((item, i) => {
      if (!this.items[i]) {
        this.items[i] = item.kind === 'tool' ? new ToolView() : new ThoughtView();
        this.feed.append(this.items[i].element);
      }
      this.items[i].update(item);
    });
    show(this.feed, agent.feed.length > 0);
  }
}

function place(bar, begun, took, total) {
  const span = Math.max(1, total);
  bar.style.setProperty('--from', `${((100 * Math.max(0, begun)) / span).toFixed(2)}%`);
  bar.style.setProperty('--long', `${((100 * Math.max(0, took)) / span).toFixed(2)}%`);
}

function nowWords(agent) {
  if (agent.status === 'planned') return agent.task;
  if (agent.status !== 'running') return agent.summary || (agent.toolsTotal ? counted(agent.toolsTotal, 'tool') : '');
  const last = agent.feed.at(-1);
  if (!last) return agent.task;
  if (last.kind === 'thought') return last.text;
  const open = agent.feed.filter((item) => item.kind === 'tool' && item.status === 'running');
  if (!open.length) return last.title;
  return open.length === 1 ? `${open[0].title} …` : `${open[0].title} and ${open.length - 1} more …`;
}

class ThoughtView {
  constructor() {
    this.text = h('span');
    this.element = h('li', { class: 'thought' }, this.text);
  }

  update(thought) {
    setData(this.element, 'kind', thought.thoughtKind);
    setText(this.text, thought.text);
  }
}

class ToolView {
  constructor() {
    this.glyph = h('span', { class: 'tool-glyph', 'aria-hidden': 'true' }, icon('tool'));
    this.title = h('span', { class: 'tool-title' });
    this.name = h('code', { class: 'tool-name' });
    this.preview = h('span', { class: 'tool-preview' });
    this.time = h('span', { class: 'tool-time' });
    this.body = h('div', { class: 'tool-body' });
    this.progress = h('progress', { class: 'lane-progress', max: '1', hidden: true });
    this.details = h('details', { class: 'tool-details', ontoggle: () => this.#fill() },
      h('summary', { class: 'tool-summary' }, this.glyph, this.title, this.name, this.preview, this.time), this.body);
    this.element = h('li', { class: 'tool' }, this.details, this.progress);
    this.tool = null;
  }

  update(tool) {
    const changed = !this.tool || this.shown !== tool.status;
    this.tool = tool;
    setData(this.element, 'status', tool.status);
    setText(this.title, tool.title);
    setText(this.name, tool.tool);
    show(this.name, tool.title !== tool.tool);
    setText(this.preview, tool.status === 'running' ? tool.note || 'working …' : tool.error ? errorText(tool) : oneLine(previewOf(tool.result), 90));
    setText(this.time, tool.status === 'running' ? '' : [tool.status === 'completed' ? '' : WORK_WORDS[tool.status], duration(tool.durationMs)].filter(Boolean).join(' · '));
    show(this.progress, tool.progress !== null);
    if (tool.progress) {
      this.progress.value = Math.min(1, tool.progress.done / tool.progress.total);
      this.progress.setAttribute('aria-label', `${tool.title}: ${count(tool.progress.done)} of ${count(tool.progress.total)}`);
    }
    if (changed) {
      this.shown = tool.status;
      if (this.details.open) this.#fill();
    }
  }

  #fill() {
    if (!this.details.open || !this.tool) return;
    const { args, argsTruncated, result, truncated, error, attempt } = this.tool;
    const part = (title, value, note) => [h('p', { class: 'tool-label' }, title, note && h('span', { class: 'fine' }, ` ${note}`)), h('pre', { class: 'code', tabindex: '0' }, h('code', {}, pretty(value)))];
    this.body.replaceChildren(
      ...part('Called with', args ?? {}, argsTruncated && '(shortened)'),
      ...(error ? [h('p', { class: 'lane-error' }, errorText(this.tool))] : []),
      ...(result === undefined || result === null ? [] : part('Answered', result, truncated && '(a preview of it)')),
      ...(attempt > 1 ? [h('p', { class: 'fine' }, `It took ${attempt} attempts.`)] : []));
  }
}

function errorText(tool) {
  return tool.error.user_message ?? tool.error.message ?? errorWords(tool.error);
}

/** What of a result says most in one line. */
function previewOf(result, depth = 0) {
  if (result && typeof result === 'object' && !Array.isArray(result)) {
    for (const key of ['summary', 'display', 'text', 'message']) if (typeof result[key] === 'string') return result[key];
    const simple = Object.entries(result).filter(([, v]) => typeof v !== 'object').slice(0, 4);
    if (simple.length) return simple.map(([k, v]) => `${k.replace(/_/g, ' ')} ${short(v)}`).join(' · ');
    const inner = Object.values(result).find((v) => v && typeof v === 'object' && !Array.isArray(v));
    return inner && depth < 2 ? previewOf(inner, depth + 1) : '';
  }
  return result;
}

/** A decimal of many places, shortened; the whole one is a click away. */
function short(value) {
  return /^-?\d+\.\d{5,}$/.test(value) ? Number(value).toFixed(4) : value;
}

function pretty(value) {
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}

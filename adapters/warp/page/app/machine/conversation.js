/**
 * A thread as a person sees it: turns, and in each the run with its agents, folded from the log's
 * entries. The same entries give the same picture, live or replayed.
 */

/** The five events every agent's work is made of, in their order. */
export const CRITICAL = ['agent_started', 'agent_thinking', 'tool_executing', 'tool_completed', 'agent_completed'];

const TERMINAL = {
  run_completed: 'completed',
  run_failed: 'failed',
  run_timed_out: 'timed_out',
  run_cancelled: 'cancelled',
  run_interrupted: 'interrupted',
};

export class Conversation {
  constructor() {
    this.title = '';
    /** One per user message: `{messageId, clientMsgId, content, at, runId}`. */
    this.turns = [];
    this.runs = new Map();
  }

  /** Whether a run is at work or waits. */
  get active() {
    return [...this.runs.values()].some((run) => isActive(run));
  }

  /** Folds one durable entry in. Returns the run it concerns, or null. */
  apply(entry) {
    const payload = entry.payload ?? {};
    const at = timeOf(entry);
    if (entry.type === 'thread_created' || entry.type === 'thread_updated') {
      if (typeof payload.title === 'string') this.title = payload.title;
      return null;
    }
    if (entry.type === 'user_message') {
      this.turns.push({
        messageId: payload.message_id,
        clientMsgId: payload.client_msg_id ?? null,
        content: String(payload.content ?? ''),
        at,
        runId: entry.run_id ?? payload.run_id ?? null,
      });
    }
    const runId = entry.run_id ?? payload.run_id;
    if (typeof runId !== 'string') return null;
    const run = this.#run(runId);
    run.entries.push(entry);
    if (CRITICAL.includes(entry.type)) run.counts[entry.type] += 1;
    this.#applyToRun(run, entry, payload, at);
    return run;
  }

  /** Shows a transient frame. It is superseded by the durable entry that follows. */
  hint(frame) {
    const payload = frame.payload ?? {};
    const run = this.runs.get(frame.run_id ?? payload.run_id);
    if (!run || !isActive(run)) return null;
    if (frame.type === 'tool_progress') {
      const tool = run.tools.get(payload.tool_call_id);
      if (!tool || tool.status !== 'running') return null;
      tool.progress = progressOf(payload.progress ?? payload);
      tool.note = typeof payload.text === 'string' ? payload.text : tool.note;
    } else if (frame.type === 'thinking_delta') {
      const agent = run.agents.get(frame.agent?.agent_run_id);
      if (!agent) return null;
      const thought = think(agent, payload.thought_id, payload.kind);
      thought.text = splice(thought.text, payload.offset, payload.text ?? payload.delta);
    } else if (frame.type === 'message_snapshot') {
      run.writing = String(payload.content ?? payload.text ?? '');
    } else if (frame.type === 'message_delta') {
      run.writing = splice(run.writing ?? '', payload.offset, payload.text ?? payload.delta ?? payload.content);
    } else {
      return null;
    }
    return run;
  }

  #run(id) {
    let run = this.runs.get(id);
    if (!run) {
      run = {
        id,
        status: 'queued',
        position: 0,
        attempt: 1,
        queuedAt: null,
        startedAt: null,
        endedAt: null,
        durationMs: null,
        route: null,
        plan: [],
        agents: new Map(),
        tools: new Map(),
        counts: Object.fromEntries(CRITICAL.map((type) => [type, 0])),
        answer: null,
        writing: null,
        ending: null,
        entries: [],
      };
      this.runs.set(id, run);
    }
    return run;
  }

  #applyToRun(run, entry, payload, at) {
    switch (entry.type) {
      case 'run_queued': {
        run.queuedAt = at;
        run.position = payload.position ?? payload.queue_position ?? 0;
        const turn = this.turns.find((t) => t.messageId === payload.message_id) ?? this.turns.at(-1);
        if (turn && turn.runId === null) turn.runId = run.id;
        break;
      }
      case 'run_started': {
        if (run.startedAt === null) run.startedAt = at;
        run.status = 'running';
        run.attempt = payload.attempt ?? 1;
        const unanswered = this.turns.find((t) => t.runId === null);
        if (unanswered && !this.turns.some((t) => t.runId === run.id)) unanswered.runId = run.id;
        break;
      }
      case 'run_plan':
        run.route = payload.route ?? null;
        run.plan = (Array.isArray(payload.steps) ? payload.steps : []).map((step) =>
          typeof step === 'string' ? { agent: step, title: step } : { agent: String(step.agent ?? step.name ?? ''), title: String(step.title ?? '') });
        break;
      case 'assistant_message':
        run.answer = { messageId: payload.message_id, content: String(payload.content ?? ''), partial: payload.partial === true, at };
        run.writing = null;
        break;
      default:
        if (entry.type in TERMINAL) end(run, entry.type, payload, at);
        else if (entry.agent) applyToAgent(run, entry, payload, at);
    }
  }
}

/** Whether a run is at work or waits for its turn. */
export function isActive(run) {
  return run.status === 'queued' || run.status === 'running';
}

/** The lanes of a run in order: agents that began, then what the plan still holds. */
export function lanesOf(run) {
  const begun = [...run.agents.values()];
  if (!isActive(run)) return begun;
  const waiting = run.plan.slice();
  for (const agent of begun) {
    const at = waiting.findIndex((step) => step.agent === agent.name);
    if (at >= 0) waiting.splice(at, 1);
  }
  return begun.concat(waiting.map((step, i) => ({
    id: `planned-${step.agent}-${i}`, name: step.agent, title: '', task: step.title, status: 'planned', feed: [], parent: null,
    startedAt: null, endedAt: null, durationMs: null, summary: '', error: null, progress: null, toolsTotal: 0, toolsFailed: 0,
    seen: new Set(),
  })));
}

/** An entry's time in milliseconds since 1970, or null. */
export function timeOf(entry) {
  if (Number.isFinite(entry.ts_ms)) return entry.ts_ms;
  const at = Date.parse(entry.ts);
  return Number.isNaN(at) ? null : at;
}

function applyToAgent(run, entry, payload, at) {
  const { agent_run_id: id, name, parent = null, attempt = 1 } = entry.agent;
  let agent = run.agents.get(id);
  if (!agent) {
    agent = {
      id, name: String(name ?? 'agent'), parent, attempt, title: '', task: '', step: 0, of: 0, status: 'running', startedAt: at, endedAt: null,
      durationMs: null, summary: '', error: null, progress: null, feed: [], toolsTotal: 0, toolsFailed: 0, seen: new Set(),
    };
    run.agents.set(id, agent);
  }
  agent.seen.add(entry.type);
  switch (entry.type) {
    case 'agent_started':
      Object.assign(agent, { title: payload.title ?? '', task: payload.task ?? '', step: payload.step ?? 0, of: payload.of ?? 0, startedAt: at });
      break;
    case 'agent_thinking': {
      const thought = think(agent, payload.thought_id, payload.kind);
      thought.text = String(payload.text ?? '');
      thought.at = at;
      agent.progress = progressOf(payload.progress);
      break;
    }
    case 'tool_executing': {
      const tool = {
        kind: 'tool', id: payload.tool_call_id, tool: String(payload.tool ?? ''), title: payload.title || payload.tool || '', args: payload.args,
        argsTruncated: payload.args_truncated === true, status: 'running', startedAt: at, endedAt: null, durationMs: null,
        result: undefined, truncated: false, resultRef: null, error: null, attempt: 1, progress: null, note: '',
      };
      agent.toolsTotal += 1;
      agent.feed.push(tool);
      run.tools.set(tool.id, tool);
      break;
    }
    case 'tool_completed': {
      const tool = run.tools.get(payload.tool_call_id);
      if (!tool) break;
      Object.assign(tool, {
        status: payload.status ?? 'completed', durationMs: payload.duration_ms ?? null, endedAt: at, result: payload.result, attempt: payload.attempt ?? 1,
        truncated: payload.truncated === true, resultRef: payload.result_ref ?? null, error: payload.error ?? null, progress: null, note: '',
      });
      if (tool.status !== 'completed') agent.toolsFailed += 1;
      break;
    }
    case 'agent_completed':
      Object.assign(agent, {
        status: payload.status ?? 'completed', durationMs: payload.duration_ms ?? null, endedAt: at, summary: payload.summary ?? '', error: payload.error ?? null,
        progress: null,
      });
      break;
    default:
      break;
  }
}

function end(run, type, payload, at) {
  run.status = type === 'run_completed' && payload.status === 'degraded' ? 'degraded' : TERMINAL[type];
  run.endedAt = at;
  run.durationMs = payload.duration_ms ?? (run.startedAt !== null && at !== null ? at - run.startedAt : null);
  const error = payload.error ?? payload;
  run.ending = {
    type,
    code: error.code ?? null,
    text: payload.user_message ?? error.user_message ?? null,
    message: error.message ?? null,
    reason: payload.reason ?? null,
    agent: payload.agent ?? null,
    retryable: payload.retryable ?? error.retryable ?? false,
  };
  if (run.writing && !run.answer) run.answer = { messageId: null, content: run.writing, partial: true, at };
  run.writing = null;
}

function think(agent, id, kind = 'status') {
  let thought = agent.feed.find((item) => item.kind === 'thought' && item.id === id && id !== undefined);
  if (!thought) {
    thought = { kind: 'thought', id, text: '', thoughtKind: kind, at: null };
    agent.feed.push(thought);
  }
  return thought;
}

function progressOf(value) {
  if (typeof value === 'number') return { done: value, total: 1 };
  return value && Number.isFinite(value.done) && Number.isFinite(value.total) && value.total > 0 ? { done: value.done, total: value.total } : null;
}

/** Text at an offset: what came twice is written once, what skips ahead waits for the snapshot. */
function splice(text, offset, piece) {
  if (typeof piece !== 'string') return text;
  if (!Number.isInteger(offset)) return text + piece;
  return offset > text.length ? text : text.slice(0, offset) + piece;
}

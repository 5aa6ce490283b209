/** Everything the page says about states and failures, in plain words. */

/** Used when a frame carries a code and no words of its own. */
const CODES = {
  invalid_json: 'The message could not be read.',
  invalid_frame: 'The message could not be understood.',
  unknown_type: 'The server does not know this kind of message.',
  validation_failed: 'The message is incomplete or has a wrong value.',
  message_too_large: 'This message is too long.',
  unauthorized: 'Please sign in.',
  token_expired: 'Your session has expired. Please sign in again.',
  token_revoked: 'You were signed out. Please sign in again.',
  auth_ambiguous: 'Two different identities were presented at once. Please sign in again.',
  ticket_invalid: 'This sign-in ticket is no longer valid. Please sign in again.',
  forbidden: 'You may not do this.',
  origin_not_allowed: 'This page may not connect to this server.',
  user_mismatch: 'This message names another user.',
  thread_not_found: 'This conversation does not exist.',
  run_not_found: 'This run does not exist.',
  run_not_active: 'This run has already ended.',
  thread_busy: 'An answer is already being written in this conversation.',
  queue_full: 'Too many questions are waiting. Please wait for an answer first.',
  thread_advanced: 'The conversation has moved on. Please look again before you send.',
  idempotency_conflict: 'This message was already sent with other content.',
  rate_limited: 'That was too fast. Please wait a moment.',
  too_many_connections: 'Too many windows are open. Please close some.',
  run_timeout: 'The answer took too long.',
  agent_timeout: 'One of the agents took too long. Please try again.',
  tool_timeout: 'One of the tools took too long.',
  agent_failed: 'One of the agents failed. Please try again.',
  tool_failed: 'One of the tools failed.',
  llm_unavailable: 'The language model is not available right now.',
  llm_rate_limited: 'The language model is busy. Please try again soon.',
  llm_rejected: 'The language model refused this request.',
  storage_unavailable: 'Messages cannot be saved right now. Please try again soon.',
  degraded: 'A part of the service is not available right now.',
  cursor_invalid: 'This place in the list no longer exists. Please reload.',
  epoch_mismatch: 'This conversation was restored. Please reload it.',
  replay_too_large: 'Too much has happened since. Please reload the conversation.',
  unsupported_version: 'This version of the page is too old or too new for the server. Please reload it.',
  shutting_down: 'The server is restarting. Please wait a moment.',
  overloaded: 'The service is very busy. Please try again soon.',
  internal: 'Something went wrong on our side. Please try again.',
  network: 'The server cannot be reached right now.',
};

/** An error in words: its own, or those of its code. */
export function errorWords(error) {
  const own = error?.user_message ?? error?.text;
  if (typeof own === 'string' && own) return own;
  return CODES[error?.code] ?? 'Something went wrong. Please try again.';
}

const CLOSES = {
  1000: 'The server ended the connection.',
  1001: 'The server is going away.',
  1003: 'The server does not take binary messages.',
  1006: 'The connection was lost.',
  1007: 'A message was not valid text.',
  1009: 'A message was too large.',
  1011: 'Something went wrong on the server.',
  1012: 'The server is restarting.',
  1013: 'The server is busy.',
  4400: 'The server and this page did not understand each other.',
  4401: 'Please sign in again.',
  4403: 'This account may not connect.',
  4408: 'Signing in took too long.',
  4409: 'This account is open in too many windows; this one was closed.',
  4410: 'The connection is being renewed.',
  4412: 'This page is too old or too new for the server. Please reload it.',
  4420: 'This page could not keep up.',
  4421: 'The server has gone silent.',
  4429: 'Too many messages in a short time.',
  4440: 'Your session has expired. Please sign in again.',
  4441: 'You were signed out.',
};

/** Why a connection ended, in words. */
export function closeWords(why) {
  if (!why) return '';
  return why.text || CLOSES[why.code] || CODES[why.code] || CLOSES[1006];
}

/** The state of the connection: a short word for the chip, and a sentence. */
export function connectionWords({ state, why, retryInMs = null }) {
  const reason = closeWords(why);
  switch (state) {
    case 'connecting':
      return { short: 'Connecting', long: 'Connecting to the server.' };
    case 'authenticating':
      return { short: 'Signing in', long: 'Connected; signing in.' };
    case 'resuming':
      return { short: 'Catching up', long: 'Signed in; fetching what happened meanwhile.' };
    case 'ready':
      return { short: 'Connected', long: 'Connected. Everything is up to date.' };
    case 'waiting': {
      const seconds = Math.max(0, Math.ceil((retryInMs ?? 0) / 1_000));
      return { short: seconds ? `Reconnecting in ${seconds} s` : 'Reconnecting', long: `${reason} What you asked is kept, and this page catches up when the line is back.` };
    }
    case 'offline':
      return { short: 'Offline', long: 'This device seems to be offline. Messages are kept and sent when it is back.' };
    default:
      return { short: 'Not connected', long: reason || 'Not connected.' };
  }
}

/** A run's state in a few words. */
export const RUN_WORDS = {
  queued: 'Waiting for its turn',
  running: 'Agents at work',
  completed: 'Completed',
  degraded: 'Completed, with a part missing',
  failed: 'Failed',
  timed_out: 'Out of time',
  cancelled: 'Stopped',
  interrupted: 'Interrupted',
};

/** An agent's or tool's state in one word. */
export const WORK_WORDS = {
  planned: 'planned',
  running: 'working',
  completed: 'done',
  degraded: 'done in part',
  failed: 'failed',
  timed_out: 'out of time',
  cancelled: 'stopped',
  skipped: 'skipped',
  abandoned: 'abandoned',
};

/** Why a run has no (whole) answer; empty for one that completed. */
export function endingWords(run) {
  const ending = run.ending;
  if (!ending) return '';
  switch (run.status) {
    case 'degraded':
      return 'One step did not work; the answer uses what the others found.';
    case 'failed':
      return errorWords({ user_message: ending.text, code: ending.code });
    case 'timed_out':
      return `The answer took too long${ending.agent ? ` (the ${ending.agent} agent was at work)` : ''}. What was found so far is kept.`;
    case 'cancelled':
      return ending.reason === 'interrupt' ? 'A newer question took its place. What was found so far is kept.'
        : ending.reason === 'disconnect' ? 'It was stopped because its window was closed.'
          : 'You stopped it. What was found so far is kept.';
    case 'interrupted':
      return 'The server stopped while this was being answered, and it could not be continued. Please ask again.';
    default:
      return '';
  }
}

/** One short sentence for a screen reader about a log entry; null for what would only be noise. */
export function announcement(entry, name) {
  const p = entry.payload ?? {};
  switch (entry.type) {
    case 'run_queued':
      return p.position > 0 ? `Your question waits, ${p.position} before it.` : null;
    case 'agent_started':
      return `${name} agent started. ${p.task ?? ''}`;
    case 'agent_thinking':
      return p.kind === 'reasoning' ? null : `${name}: ${p.text ?? ''}`;
    case 'tool_executing':
      return `${name} uses ${p.title || p.tool}.`;
    case 'tool_completed':
      return p.status === 'completed' ? null : `${p.tool} ${WORK_WORDS[p.status] ?? p.status}.`;
    case 'agent_completed':
      return `${name} agent ${WORK_WORDS[p.status] ?? p.status}. ${p.summary ?? ''}`;
    case 'assistant_message':
      return p.partial === true ? 'What was found so far is here.' : 'The answer is here.';
    case 'run_completed':
      return p.status === 'degraded' ? 'A part of it is missing.' : null;
    case 'run_failed':
      return `The run failed. ${errorWords({ user_message: p.user_message, code: p.error?.code ?? p.code })}`;
    case 'run_timed_out':
      return 'The run is out of time.';
    case 'run_cancelled':
      return 'The run was stopped.';
    case 'run_interrupted':
      return 'The run was interrupted.';
    default:
      return null;
  }
}

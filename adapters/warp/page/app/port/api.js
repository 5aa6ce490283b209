/** The server's HTTP side. Every failure is a `Problem` with a code and words. */
import { errorWords } from '../machine/words.js';

const TIMEOUT = 20_000;
const IMPORT_TIMEOUT = 600_000;

/** A refused or failed request; `text` is for the person, `detail` for the curious. */
export class Problem extends Error {
  constructor({ code, status = 0, detail = '', text = '', retryAfterMs = null, body = null }) {
    super(detail || code);
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.text = text || errorWords({ code });
    this.retryAfterMs = retryAfterMs;
    this.body = body;
  }
}

export class Api {
  /**
   * `token()` gives the access token or null; `renew()` promises whether there is a newer one;
   * `onUnauthorized()` hears that it is no longer accepted.
   */
  constructor({ token, renew, onUnauthorized }) {
    this.token = token;
    this.renew = renew;
    this.onUnauthorized = onUnauthorized;
  }

  config() {
    return this.#json('GET', '/api/config');
  }

  demo() {
    return this.#json('POST', '/api/auth/demo', { body: {}, anonymous: true });
  }

  login(credentials) {
    return this.#json('POST', '/api/auth/login', { body: credentials, anonymous: true });
  }

  register(credentials) {
    return this.#json('POST', '/api/auth/register', { body: credentials, anonymous: true });
  }

  /** Gives the code behind the `#` for a token; the cookie of this browser goes along. */
  pickUp(code) {
    return this.#json('POST', '/api/auth/oidc/finish', { body: { code }, anonymous: true, cookies: true });
  }

  refresh(token) {
    return this.#json('POST', '/api/auth/refresh', { body: { refresh_token: token }, anonymous: true });
  }

  /** By the refresh token, too: the access token may be over. */
  logout(refresh) {
    return this.#json('POST', '/api/auth/logout', { body: refresh ? { refresh_token: refresh } : {} });
  }

  threads(cursor = null, limit = 30) {
    return this.#json('GET', `/api/threads?${query({ limit, cursor })}`);
  }

  log(threadId, afterSeq, limit = 500) {
    return this.#json('GET', `/api/threads/${encodeURIComponent(threadId)}/log?${query({ after_seq: afterSeq, limit })}`);
  }

  rename(threadId, title) {
    return this.#json('PATCH', `/api/threads/${encodeURIComponent(threadId)}`, { body: { title } });
  }

  remove(threadId) {
    return this.#json('DELETE', `/api/threads/${encodeURIComponent(threadId)}`);
  }

  cancel(runId) {
    return this.#json('POST', `/api/runs/${encodeURIComponent(runId)}/cancel`, { body: {} });
  }

  fact(runId, factId) {
    return this.#json('GET', `/api/runs/${encodeURIComponent(runId)}/facts/${encodeURIComponent(factId)}`);
  }

  async artifact(runId, name) {
    const response = await this.#request('GET', `/api/runs/${encodeURIComponent(runId)}/artifacts/${encodeURIComponent(name)}`);
    return response.blob();
  }

  /** The report; a file that was refused gives its report, too. */
  importUsage(file, { format = null, model = null, dryRun = false, skipBad = false }) {
    const parameters = query({ name: file.name, format, model, dry_run: dryRun, skip_bad: skipBad });
    return this.#json('POST', `/api/usage/import?${parameters}`, { file, timeout: IMPORT_TIMEOUT }).catch((problem) => {
      if (problem.body?.verdict) return problem.body;
      throw problem;
    });
  }

  usageSummary() {
    return this.#json('GET', '/api/usage/summary');
  }

  async #json(method, path, options) {
    const response = await this.#request(method, path, options);
    if (response.status === 204) return null;
    try {
      return await response.json();
    } catch {
      throw new Problem({ code: 'internal', status: response.status, detail: 'the answer was not JSON' });
    }
  }

  async #request(method, path, { body, file, anonymous = false, cookies = false, timeout = TIMEOUT } = {}) {
    const headers = { Accept: 'application/json, */*;q=0.5' };
    const token = this.token();
    if (token && !anonymous) headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (file) headers['Content-Type'] = file.type || 'application/octet-stream';
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), timeout);
    let response;
    try {
      response = await fetch(path, {
        method,
        headers,
        body: file ?? (body === undefined ? undefined : JSON.stringify(body)),
        signal: abort.signal,
        credentials: cookies ? 'same-origin' : 'omit',
        cache: 'no-store',
      });
    } catch (error) {
      throw new Problem({ code: 'network', detail: error.name === 'AbortError' ? 'no answer in time' : error.message });
    } finally {
      clearTimeout(timer);
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (problem.status === 401 && !anonymous) {
      if (problem.code === 'token_expired' && !again && (await this.renew())) return this.#request(method, path, { ...options, again: true });
      this.onUnauthorized(problem);
    }
    throw problem;
  }
}

async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // A proxy's page, perhaps; the status has to do.
  }
  const codes = { 401: 'unauthorized', 403: 'forbidden', 413: 'message_too_large', 429: 'rate_limited', 503: 'overloaded' };
  const seconds = Number.parseFloat(response.headers.get('Retry-After') ?? '');
  return new Problem({
    code: body.code ?? codes[response.status] ?? 'internal',
    status: response.status,
    detail: body.detail ?? body.message ?? body.title ?? '',
    text: body.user_message ?? '',
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : null,
    body,
  });
}

function query(values) {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== null && value !== undefined) out.set(name, String(value));
  return out;
}

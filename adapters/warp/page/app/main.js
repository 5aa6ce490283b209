/** The page: joins what decides (`machine/`), what touches the outside (`port/`) and what is seen (`view/`). */
import { Connection } from './machine/connection.js';
import { Keeper } from './machine/keeper.js';
import { Outbox } from './machine/outbox.js';
import { Session } from './machine/session.js';
import { agentName } from './machine/format.js';
import { isActive } from './machine/conversation.js';
import { returned } from './machine/returned.js';
import { heard } from './machine/shared.js';
import { demoWords, summaryWords } from './machine/usage.js';
import { announcement, closeWords, errorWords } from './machine/words.js';
import { Api } from './port/api.js';
import { Wire } from './port/socket.js';
import { dropLogin, forgetInstance, inTurn, instanceId, isShared, loadDevice, loadLogin, onSharedLogin, onlyTab, outboxStore, saveDevice, saveLogin, sharedLogin } from './port/storage.js';
import { Announcer } from './view/announcer.js';
import { Composer } from './view/composer.js';
import { ConversationView } from './view/conversation.js';
import { byId, setText, show } from './view/dom.js';
import { openFact } from './view/fact.js';
import { Importer } from './view/importer.js';
import { Sidebar, titleOf } from './view/sidebar.js';
import { StatusView } from './view/status.js';
import { Welcome } from './view/welcome.js';

const TICK = 200;

let config = null;
let login = loadLogin();
let session = null;
let cursor = null;
/** What is open: a thread's id, or a draft that has no thread yet. */
let place = { thread: null, draft: null };

const keeper = new Keeper();
const api = new Api({ token: () => login?.token ?? null, renew, onUnauthorized: (problem) => signOut(problem.text) });
const connection = new Connection({
  resumePoints: () => session?.resumePoints() ?? [],
});
const wire = new Wire(connection, {
  url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`,
  onFrame: (frame) => session?.handle(frame),
  onState: connectionChanged,
  onSignedOut: lostLogin,
});

const announcer = new Announcer();
const status = new StatusView({ connectNow: () => (connection.token ? wire.tell((c, now) => c.connectNow(now)) : null) });
const welcome = new Welcome({
  // Another window may have become a visitor meanwhile: one browser is one visitor.
  demo: async () => {
    const kept = sharedLogin();
    if (kept) adopt(kept);
    else keep(await api.demo());
    enter();
  },
  login: async (credentials) => signIn(await api.login({ ...credentials, device: loadDevice() })),
  register: async (credentials) => signIn(await api.register(credentials)),
});
const sidebar = new Sidebar({
  now: Date.now,
  more: () => loadThreads(true),
  rename: async (id, title) => {
    if (!title) return;
    await api.rename(id, title);
    session.setList(session.list.map((t) => (t.id === id ? { ...t, title } : t)));
  },
  remove: async (id) => {
    await api.remove(id);
    session.forget(id);
    if (place.thread === id) go('#/new');
    byId('new-thread').focus();
  },
});
const composer = new Composer({ say });
const conversation = new ConversationView({
  say,
  now: () => Date.now() + (session?.clockOffset ?? 0),
  ask: say,
  stop: stopRun,
  retry: (id) => {
    session.outbox.retry(id);
    session.flush();
    dirty();
  },
  discard: (id) => {
    session.outbox.discard(id);
    dirty();
  },
  reload: () => session.reload(place.thread),
  openFact: (runId, factId, words) => openFact(byId('fact-dialog'), { id: factId, words, load: (id) => api.fact(runId, id) }),
  image: (runId, name) => api.artifact(runId, name),
  download,
});
const importer = new Importer(byId('import-dialog'), {
  importUsage: (file, options) => api.importUsage(file, options),
  limit: () => config?.limits?.max_import_bytes ?? Infinity,
  summary: () => api.usageSummary(),
  changed: showUsage,
});

/* Signing in and out */

function signIn(answer) {
  keep(answer);
  enter();
}

/** Kept before it is used: what is lost here could not be asked for again for long. */
function keep(answer) {
  const lifetime = (answer.expires_in ?? 0) * 1_000;
  login = {
    token: answer.access_token,
    expiresAt: Date.now() + lifetime,
    lifetime,
    refresh: answer.refresh_token ?? null,
    user: { id: answer.user?.id ?? '', name: answer.user?.name ?? '', demo: answer.user?.demo === true },
  };
  saveLogin(login);
  if (answer.device && !login.user.demo) saveDevice(answer.device);
  keeper.start(Date.now(), login);
}

/** Goes on with what another tab keeps for all. */
function adopt(kept) {
  login = kept;
  keeper.start(Date.now(), login);
}

function heardOf(kept) {
  switch (heard(login, kept)) {
    case 'newer':
      adopt(kept);
      if (session) wire.tell((c) => c.renew(login.token));
      break;
    case 'ended':
      signOut('You signed out in another window.');
      break;
    case 'other':
      location.reload();
      break;
    default:
      break;
  }
}

let renewing = null;

/** Promises whether there is a newer token. */
function renew() {
  if (renewing === null && !keeper.expired(Date.now())) return Promise.resolve(false);
  keepOn();
  return renewing ?? Promise.resolve(false);
}

/** Does what the keeper says. */
function keepOn() {
  for (let effect = keeper.poll(); effect; effect = keeper.poll()) {
    if (effect.do === 'renew') renewing = inTurn(login, () => renewWith(effect.refresh)).finally(() => { renewing = null; });
    else signOut(effect.problem.text);
  }
}

async function renewWith(refresh) {
  if (isShared(login)) {
    const kept = sharedLogin();
    // A refresh token is good once: what another tab has begun is not done again.
    if (login?.refresh !== refresh || heard(login, kept) !== 'same') {
      heardOf(kept);
      return login !== null;
    }
  }
  try {
    const answer = await api.refresh(refresh);
    // Whoever signed out meanwhile stays signed out.
    if (login?.refresh !== refresh) return false;
    keep(answer);
    wire.tell((c) => c.renew(login.token));
    return true;
  } catch (problem) {
    keeper.failed(Date.now(), problem);
    keepOn();
    return false;
  }
}

/** The server closed the line for want of a good token; with a new one it goes on. */
async function lostLogin(why) {
  const TOKEN_EXPIRED = 4440;
  if (why.code === TOKEN_EXPIRED && (await renew()) && login) wire.tell((c, now) => c.start(now, login.token));
  else signOut(closeWords(why));
}

function enter() {
  welcome.close();
  show(byId('workspace'), true);
  setText(byId('user-name'), login.user.name || login.user.id);
  setText(byId('demo-banner-text'), demoWords(null));
  configured(config);
  session = new Session({
    outbox: new Outbox(outboxStore(login.user.id)),
    ports: {
      now: Date.now,
      send: (type, payload) => wire.tell((c) => c.send(type, payload)),
      expectReplay: (id) => wire.tell((c, now) => c.expectReplay(now, id)),
      fetchLog: (id, after) => api.log(id, after),
      emit: changed,
    },
  });
  wire.tell((c, now) => c.start(now, login.token));
  route();
  loadThreads();
  composer.focus();
}

/** What the server says about itself, also when it comes late. */
function configured(answer) {
  config = answer;
  show(byId('demo-banner'), login?.user.demo === true);
  if (config?.limits?.max_content_bytes) composer.limit = config.limits.max_content_bytes;
}

function signOut(reason = '') {
  if (login === null) return;
  dropLogin(login);
  login = null;
  keeper.stop();
  session = null;
  wire.tell((c) => c.stop());
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  status.clear();
  conversation.key = null;
  conversation.clear();
  show(byId('workspace'), false);
  document.title = 'Golden Path';
  welcome.open(config, reason);
}

/* Where we are */

function go(hash) {
  if (location.hash === hash) route();
  else location.hash = hash;
}

function route() {
  if (!session) return;
  const [, id] = /^#\/t\/([\w-]+)$/.exec(location.hash) ?? [];
  if (id) {
    place = { thread: id, draft: null };
    session.open(id);
  } else {
    const waiting = session.outbox.items.find((item) => item.thread === null);
    place = { thread: null, draft: waiting && place.thread === null && !place.draft ? waiting.draft : newId() };
  }
  dirty();
  session.ports.emit({ what: 'threads' });
}

function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, '0')).join('');
}

/* Saying and stopping */

function say(text) {
  if (session.outbox.full) {
    status.notice({ text: 'Too many messages are waiting to be sent. Please wait for the connection.' });
    return false;
  }
  session.say({ id: newId(), content: text, threadId: place.thread, draft: place.thread === null ? place.draft : null });
  dirty();
  return true;
}

async function stopRun(run) {
  if (session.stop(run)) {
    dirty();
    return;
  }
  session.stopping.add(run.id);
  dirty();
  try {
    await api.cancel(run.id);
  } catch (problem) {
    session?.stopping.delete(run.id);
    status.notice({ text: problem.text });
    dirty();
  }
}

async function download(runId, name) {
  try {
    const url = URL.createObjectURL(await api.artifact(runId, name));
    const link = document.createElement('a');
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  } catch (problem) {
    status.notice({ text: problem.text });
  }
}

/* What has changed */

function changed(change) {
  switch (change.what) {
    case 'threads':
      if (session) sidebar.update(session.list, place.thread, cursor !== null);
      showTitle();
      return;
    case 'acked':
      if (place.thread === null && change.item.draft === place.draft) {
        place = { thread: change.item.thread, draft: null };
        conversation.key = change.item.thread;
        history.replaceState(null, '', `#/t/${change.item.thread}`);
        session.ports.emit({ what: 'threads' });
      }
      break;
    case 'entries':
      // Another window, or the command line, may have taken the demonstration's place.
      if (login?.user.demo && !change.replay && change.entries.some((entry) => entry.type === 'run_started')) showUsage();
      if (change.threadId === place.thread && !change.replay) for (const entry of change.entries) announcer.say(announcement(entry, agentName(entry.agent?.name ?? '')));
      break;
    case 'notice':
      status.notice(change);
      return;
    case 'degraded':
      status.degraded(change.list);
      return;
    case 'expiring':
      if (!keeper.able) status.notice({ text: 'Your session ends soon. Please sign in again to go on; your conversations are kept.' });
      return;
    default:
      break;
  }
  dirty();
}

let drawing = false;

/** Draws soon, once, however much has changed. */
function dirty() {
  if (drawing) return;
  drawing = true;
  const draw = () => {
    if (!drawing) return;
    drawing = false;
    render();
  };
  requestAnimationFrame(draw);
  setTimeout(draw, 250);
}

function render() {
  if (!session) return;
  const key = place.thread ?? place.draft;
  const thread = place.thread === null ? null : session.thread(place.thread);
  conversation.update({ key, thread, outbox: session.outbox.of(place), stopping: session.stopping });
  const running = [...(thread?.conversation.runs.values() ?? [])].some(isActive);
  composer.hint(!connection.live ? 'Not connected: what you send now is sent as soon as possible.' : running ? 'Agents are at work; a further question waits for its turn.' : '');
  showTitle();
}

function showTitle() {
  const row = session?.list.find((t) => t.id === place.thread);
  const own = session?.thread(place.thread)?.conversation.title;
  const title = place.thread === null ? 'New conversation' : own || row?.title ? titleOf({ title: row?.title || own }) : 'Conversation';
  setText(byId('thread-title'), title);
  document.title = `${title} · Golden Path`;
}

let wasLive = false;

function connectionChanged() {
  if (wasLive && !connection.live) session?.lost();
  if (!wasLive && connection.live && session) {
    loadThreads();
    showUsage();
    if (config === null) api.config().then(configured, () => {});
  }
  wasLive = connection.live;
  status.update(connection, Date.now());
  dirty();
}

/* Over HTTP */

async function loadThreads(more = false) {
  const mine = session;
  try {
    const page = await api.threads(more ? cursor : null);
    if (session !== mine || !mine) return;
    cursor = page.next_cursor ?? null;
    session.setList(page.threads ?? [], more);
  } catch (problem) {
    if (session === mine && problem.status !== 401 && more) status.notice({ text: problem.text });
  }
}

async function showUsage() {
  const mine = session;
  try {
    const summary = await api.usageSummary();
    if (session !== mine) return;
    setText(byId('usage-line'), summaryWords(summary));
    setText(byId('demo-banner-text'), demoWords(summary));
  } catch {
    if (session === mine) setText(byId('usage-line'), 'Import or look');
  }
}

/** Why nobody came back from the other provider. */
function foreignWords(code) {
  return code === 'unauthorized' ? 'Logging in did not work. Please try again.' : errorWords({ code });
}

async function boot() {
  byId('sign-out').addEventListener('click', () => {
    // The server forgets the token, too; without it the page does all the same.
    api.logout(login?.refresh).catch(() => {});
    signOut();
  });
  byId('open-import').addEventListener('click', () => importer.open());
  // The address says which conversation is open; a jump within the page must not change it.
  byId('skip').addEventListener('click', (event) => {
    event.preventDefault();
    composer.focus();
  });
  window.addEventListener('hashchange', route);
  onSharedLogin(heardOf);
  setInterval(() => {
    keeper.tick(Date.now());
    keepOn();
    if (!session) return;
    status.update(connection, Date.now());
    conversation.tick();
    const due = session.outbox.deadline();
    if (connection.live && due !== null && due <= Date.now()) session.flush();
  }, TICK);
  const back = returned(location.hash);
  // The code is good once; it does not stay in the address.
  if (back) history.replaceState(null, '', location.pathname);
  if (!login) welcome.open(null);
  // A copy of a tab goes on with its access token and does not touch the log-in of the other one.
  if (!(await onlyTab(instanceId()))) {
    forgetInstance();
    if (login && !isShared(login)) login = { ...login, refresh: null };
  }
  if (login) {
    saveLogin(login);
    keeper.start(Date.now(), login);
  }
  for (;;) {
    try {
      config = await api.config();
      break;
    } catch (problem) {
      welcome.say(login ? '' : `${problem.text} Trying again …`);
      if (login) break;
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    }
  }
  if (back?.code) {
    try {
      signIn(await api.pickUp(back.code));
      return;
    } catch (problem) {
      back.failed = problem.code;
    }
  }
  if (login) enter();
  else welcome.open(config, back?.failed ? foreignWords(back.failed) : '');
}

boot();

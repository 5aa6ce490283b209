/**
 * What survives a reload of this tab: the log-in and the outbox. Works (forgetfully) where storage is
 * switched off.
 *
 * Shared with no other tab, except for the log-in of a demo visitor: nobody can log in as one again, so
 * it is kept by the browser for all its tabs until it ends or one of them signs out. There the tabs
 * take turns in renewing it, for which they need locks; a browser that has none for this page (plain
 * HTTP from another machine) keeps it in its tab as any other.
 */
const LOGIN = 'goldenpath.login';
const OUTBOX = 'goldenpath.outbox';
const INSTANCE = 'goldenpath.instance';
const DEVICE = 'goldenpath.device';

const RENEWING = 'goldenpath.renewing';

function read(key, storage = 'sessionStorage') {
  try {
    return JSON.parse(globalThis[storage].getItem(key));
  } catch {
    return null;
  }
}

function write(key, value, storage = 'sessionStorage') {
  try {
    if (value === null) globalThis[storage].removeItem(key);
    else globalThis[storage].setItem(key, JSON.stringify(value));
  } catch {
    // Full or forbidden: the page works on, a reload just begins anew.
  }
}

/** `{token, expiresAt, lifetime, refresh, user:{id,name,demo}}`, or null. */
export function loadLogin() {
  return login(read(LOGIN)) ?? sharedLogin();
}

/** The log-in all tabs share, or null. */
export function sharedLogin() {
  return login(read(LOGIN, 'localStorage'));
}

function login(kept) {
  return typeof kept?.token === 'string' ? kept : null;
}

/** Whether all tabs share this log-in. */
export function isShared(login) {
  return login?.user?.demo === true && Boolean(navigator.locks);
}

export function saveLogin(login) {
  const shared = isShared(login);
  write(LOGIN, shared ? null : login);
  if (shared) write(LOGIN, login, 'localStorage');
}

/** Forgets a log-in that is over, for all who share it. */
export function dropLogin(login) {
  write(LOGIN, null);
  if (isShared(login) && sharedLogin()?.user?.id === login.user.id) write(LOGIN, null, 'localStorage');
}

/** Tells what another tab did with the shared log-in: the new one, or null. */
export function onSharedLogin(tell) {
  window.addEventListener('storage', (event) => {
    if (event.storageArea === localStorage && event.key === LOGIN) tell(sharedLogin());
  });
}

/** Does something while no other tab of a shared log-in does it. */
export function inTurn(login, work) {
  return isShared(login) ? navigator.locks.request(RENEWING, work) : work();
}

/**
 * What names this browser at its next log-in, or null, so that strangers who guess cannot make it wait.
 * It opens nothing, so it may outlive the tab.
 */
export function loadDevice() {
  try {
    return localStorage.getItem(DEVICE);
  } catch {
    return null;
  }
}

export function saveDevice(device) {
  try {
    localStorage.setItem(DEVICE, device);
  } catch {
    // Forbidden: the next log-in is one from anywhere.
  }
}

/** Where an `Outbox` of this user is kept. */
export function outboxStore(userId) {
  return {
    load: () => {
      const kept = read(OUTBOX);
      return kept?.user === userId && Array.isArray(kept.items) ? kept.items : [];
    },
    save: (items) => write(OUTBOX, items.length ? { user: userId, items } : null),
  };
}

/** This tab's name, the same over reloads. */
export function instanceId() {
  const kept = read(INSTANCE);
  if (typeof kept === 'string') return kept;
  const made = crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join('');
  write(INSTANCE, made);
  return made;
}

/**
 * Whether this tab is the only one with its storage: a tab that was duplicated has a copy, and a refresh
 * token used by two ends the log-in. The first one holds a lock as long as it lives. Waits a moment, for
 * the page before a reload to be gone; where there are no locks the answer is yes.
 */
export async function onlyTab(name) {
  if (!navigator.locks) return true;
  const signal = AbortSignal.timeout(1_000);
  return new Promise((resolve) => {
    const held = navigator.locks.request(`goldenpath.${name}`, { signal }, () => {
      resolve(true);
      return new Promise(() => {});
    });
    held.catch(() => resolve(false));
  });
}

/** A name of its own for a tab that was duplicated. */
export function forgetInstance() {
  write(INSTANCE, null);
}

/**
 * What survives a reload of this tab, and is shared with no other: the log-in and the outbox. Works
 * (forgetfully) where storage is switched off.
 */
const LOGIN = 'goldenpath.login';
const OUTBOX = 'goldenpath.outbox';
const INSTANCE = 'goldenpath.instance';

function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function write(key, value) {
  try {
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Full or forbidden: the page works on, a reload just begins anew.
  }
}

/** `{token, expiresAt, lifetime, refresh, user:{id,name,demo}}`, or null. */
export function loadLogin() {
  const login = read(LOGIN);
  return typeof login?.token === 'string' ? login : null;
}

export function saveLogin(login) {
  write(LOGIN, login);
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

/**
 * What survives a reload of this tab, and is shared with no other: the log-in and the outbox. Works
 * (forgetfully) where storage is switched off.
 */
const LOGIN = 'goldenpath.login';
const OUTBOX = 'goldenpath.outbox';

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

/** `{token, user:{id,name}}`, or null. */
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

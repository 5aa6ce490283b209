/** Numbers, times and names as people read them. */

const NUMBER = new Intl.NumberFormat('en');
const CLOCK = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hour12: false });
const DAY = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });
const UTC_DAY = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeZone: 'UTC' });
const FULL = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium', hour12: false });

/** 80706 → "80,706". */
export function count(n) {
  return Number.isFinite(n) ? NUMBER.format(n) : '–';
}

/** `count(3, "tool")` with its noun: "3 tools". */
export function counted(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}

/** Milliseconds: "38 ms", "1.4 s", "2 min 05 s". */
export function duration(ms) {
  if (!Number.isFinite(ms) || ms < 0) return '';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** Bytes: "8,192 bytes", "1.2 MB". */
export function bytes(n) {
  if (n < 10_000) return `${count(n)} bytes`;
  return n < 1_000_000 ? `${(n / 1_000).toFixed(0)} kB` : `${(n / 1_000_000).toFixed(1)} MB`;
}

/** A moment in a list: the time today, the day before that. */
export function moment(at, now) {
  if (!Number.isFinite(at)) return '';
  const date = new Date(at);
  return date.toDateString() === new Date(now).toDateString() ? CLOCK.format(date) : DAY.format(date);
}

/** A moment in full. */
export function fullMoment(at) {
  return Number.isFinite(at) ? FULL.format(new Date(at)) : '';
}

/** A day in full; days of records are days of UTC. */
export function fullDay(at) {
  return Number.isFinite(at) ? UTC_DAY.format(new Date(at)) : '';
}

/** Milliseconds since 1970 from a number or an RFC 3339 text; null when it is neither. */
export function instant(value) {
  if (Number.isFinite(value)) return value;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : at;
}

/** "data_helper" → "Data helper". */
export function agentName(name) {
  const words = String(name).replace(/[_-]+/g, ' ').trim();
  return words ? words[0].toUpperCase() + words.slice(1) : 'Agent';
}

/** A JSON value in one short line. */
export function oneLine(value, max = 120) {
  if (value === undefined || value === null) return '';
  const text = (typeof value === 'string' ? value : JSON.stringify(value)).replace(/\s+/g, ' ');
  return text.length > max ? `${text.slice(0, max - 1)}…` : text;
}

/** Length in bytes of UTF-8, as limits count it. */
export function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

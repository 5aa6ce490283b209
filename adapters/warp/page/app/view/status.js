/** The line to the server, and everything that must be said in words. */
import { byId, h, icon, setData, setText, show } from './dom.js';
import { connectionWords } from '../machine/words.js';

const MAX_NOTICES = 3;

export class StatusView {
  /** `on`: `connectNow()`. */
  constructor(on) {
    this.chip = byId('connection');
    this.short = byId('connection-short');
    this.long = byId('connection-long');
    this.banner = byId('line-banner');
    this.button = byId('connect-now');
    this.notices = byId('notices');
    this.button.addEventListener('click', () => on.connectNow());
    this.spoken = null;
    this.failures = 0;
  }

  /** Shows the connection's state. */
  update(connection, now) {
    const { state, why, retryAt } = connection;
    const words = connectionWords({ state, why, retryInMs: retryAt === null ? null : retryAt - now });
    setData(this.chip, 'state', state);
    setText(this.short, words.short);
    this.chip.title = words.long;
    // The countdown is seen; only a change of state is spoken.
    if (this.spoken !== `${state}${why?.code ?? ''}`) {
      this.spoken = `${state}${why?.code ?? ''}`;
      setText(this.long, words.long);
    }
    const stopped = state === 'idle' && connection.token !== null;
    show(this.button, state === 'waiting' || state === 'offline' || stopped);
    const trouble = state === 'waiting' || state === 'offline' || stopped || (state === 'connecting' && why !== null);
    show(this.banner, trouble);
    if (trouble) setText(this.banner, state === 'connecting' ? connectionWords({ state: 'waiting', why, retryInMs: 0 }).long : words.long);
  }

  /** Says something once, until it is dismissed. */
  notice({ level = 'warn', text, code = null, requestId = null }) {
    if ([...this.notices.children].some((n) => n.dataset.text === text)) return;
    const close = h('button', { class: 'icon-button', type: 'button', 'aria-label': 'Dismiss' }, icon('close'));
    const notice = h('div', { class: 'notice', 'data-level': level, 'data-text': text }, icon('warn'), h('span', {}, text, requestId && h('span', { class: 'fine' }, ` (${code ?? 'error'}, ${requestId})`)), close);
    close.addEventListener('click', () => notice.remove());
    this.notices.append(notice);
    while (this.notices.children.length > MAX_NOTICES) this.notices.firstChild.remove();
  }

  clear() {
    this.notices.replaceChildren();
  }

  /** Parts of the service that are not available. */
  degraded(list) {
    const banner = byId('degraded-banner');
    show(banner, list.length > 0);
    setText(banner, list.length ? `Not available right now: ${list.join(', ')}. Everything else works.` : '');
  }
}

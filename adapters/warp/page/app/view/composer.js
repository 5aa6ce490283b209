/** Where one asks. Works without a connection: what is sent waits in the outbox. */
import { byId, setText } from './dom.js';
import { byteLength, count } from '../machine/format.js';

export class Composer {
  /** `on`: `say(text)` (true when taken). */
  constructor(on) {
    this.on = on;
    this.limit = 8_000;
    this.form = byId('composer');
    this.input = byId('question');
    this.button = byId('send');
    this.state = byId('composer-state');
    this.extra = '';
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.#send();
      }
    });
    this.input.addEventListener('input', () => this.#changed());
    this.#changed();
  }

  focus() {
    this.input.focus();
  }

  /** Puts text in, to be changed and sent. */
  fill(text) {
    this.input.value = text;
    this.#changed();
    this.focus();
  }

  /** Something to say below the box, e.g. that messages will wait. */
  hint(text) {
    this.extra = text;
    this.#changed();
  }

  #send() {
    const text = this.input.value.trim();
    if (!text || byteLength(text) > this.limit) {
      this.#changed();
      return;
    }
    if (!this.on.say(text)) return;
    this.input.value = '';
    this.#changed();
    this.focus();
  }

  #changed() {
    const length = byteLength(this.input.value.trim());
    const over = length > this.limit;
    this.input.setAttribute('aria-invalid', String(over));
    this.button.disabled = over || length === 0;
    this.state.classList.toggle('over', over);
    setText(this.state, over ? `Too long by ${count(length - this.limit)} bytes; the limit is ${count(this.limit)}.`
      : length > this.limit * 0.8 ? `${count(this.limit - length)} bytes left` : this.extra);
    // Grows with its text; the styles cap it.
    this.input.style.setProperty('height', 'auto');
    if (this.input.value) this.input.style.setProperty('height', `${this.input.scrollHeight}px`);
    else this.input.style.removeProperty('height');
  }
}

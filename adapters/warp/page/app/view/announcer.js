/** Tells a screen reader what the agents do, without flooding it. */
import { byId, h } from './dom.js';

const KEPT = 12;
const GAP = 900;

export class Announcer {
  constructor() {
    this.region = byId('announcer');
    this.waiting = [];
    this.timer = 0;
  }

  /** Says a sentence soon; of many at once the latest ones. */
  say(text) {
    if (!text) return;
    this.waiting.push(text);
    if (this.waiting.length > 6) this.waiting.splice(0, this.waiting.length - 6);
    if (!this.timer) this.timer = setTimeout(() => this.#speak(), 60);
  }

  #speak() {
    this.timer = 0;
    const lines = this.waiting.splice(0);
    if (!lines.length) return;
    this.region.append(h('p', {}, lines.join(' ')));
    while (this.region.children.length > KEPT) this.region.firstChild.remove();
    this.timer = setTimeout(() => this.#speak(), GAP);
  }
}

/** The events of a run as they came over the wire, for engineers. Built only when somebody looks. */
import { h, setText } from './dom.js';
import { counted } from '../machine/format.js';
import { CRITICAL, timeOf } from '../machine/conversation.js';

export class RawEvents {
  constructor() {
    this.run = null;
    this.shown = 0;
    this.label = h('span', {}, 'Raw events');
    this.list = h('ol', { class: 'raw-list' });
    this.element = h('details', { class: 'raw', ontoggle: () => this.#fill() }, h('summary', {}, this.label), this.list);
  }

  update(run) {
    this.run = run;
    setText(this.label, counted(run.entries.length, 'raw event'));
    this.#fill();
  }

  #fill() {
    if (!this.element.open || !this.run) return;
    const { entries } = this.run;
    const start = timeOf(entries[0]) ?? 0;
    for (; this.shown < entries.length; this.shown += 1) {
      const entry = entries[this.shown];
      const at = timeOf(entry);
      this.list.append(h('li', {},
        h('details', { class: 'raw-event' },
          h('summary', {},
            h('span', { class: 'raw-seq' }, `#${entry.seq}`),
            h('span', { class: 'raw-at' }, at === null ? '' : `+${at - start} ms`),
            h('span', { class: CRITICAL.includes(entry.type) ? 'raw-type critical' : 'raw-type' }, entry.type),
            h('span', { class: 'raw-agent' }, entry.agent?.name ?? '')),
          h('pre', { class: 'code', tabindex: '0' }, h('code', {}, JSON.stringify(entry, null, 2))))));
    }
  }
}

/** Many small buttons that are one stop for the Tab key; the arrow keys go from one to the next. */

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

export class Roving {
  /** `selector` finds the buttons in the element. */
  constructor(element, selector) {
    this.element = element;
    this.selector = selector;
    this.items = [];
    element.addEventListener('keydown', (event) => this.#key(event));
    element.addEventListener('focusin', (event) => {
      const item = event.target.closest(selector);
      if (item) this.#stopAt(item);
    });
  }

  /** The content has changed. `describedBy` is the id of what says how to go on. */
  renew(describedBy) {
    this.items = [...this.element.querySelectorAll(this.selector)];
    for (const [nth, item] of this.items.entries()) {
      item.tabIndex = nth === 0 ? 0 : -1;
      if (this.items.length > 1) item.setAttribute('aria-describedby', describedBy);
    }
  }

  #stopAt(item) {
    for (const other of this.items) if (other.tabIndex === 0 && other !== item) other.tabIndex = -1;
    item.tabIndex = 0;
  }

  #key(event) {
    const at = this.items.indexOf(event.target);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const next = event.key === 'Home' ? 0 : event.key === 'End' ? this.items.length - 1 : at + (STEPS[event.key] ?? NaN);
    const item = this.items[next];
    if (!item) return;
    event.preventDefault();
    item.focus();
  }
}

/** The list of conversations: open, rename, delete. */
import { byId, fillDialog, h, icon, setText, show } from './dom.js';
import { instant, moment } from '../machine/format.js';

export class Sidebar {
  /** `on`: `rename(id, title)`, `remove(id)`, `more()`, `now()`. */
  constructor(on) {
    this.on = on;
    this.list = byId('thread-list');
    this.rows = new Map();
    this.note = byId('threads-note');
    this.dialog = byId('thread-dialog');
    byId('threads-more').addEventListener('click', () => on.more());
    const drawer = (open) => {
      document.body.classList.toggle('drawer', open);
      byId('sidebar-open').setAttribute('aria-expanded', String(open));
    };
    byId('sidebar-open').addEventListener('click', () => {
      drawer(true);
      byId('sidebar-close').focus();
    });
    byId('sidebar-close').addEventListener('click', () => {
      drawer(false);
      byId('sidebar-open').focus();
    });
    byId('sidebar').addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !document.body.classList.contains('drawer')) return;
      drawer(false);
      byId('sidebar-open').focus();
    });
    window.addEventListener('hashchange', () => drawer(false));
  }

  /** Shows the threads; `current` is the one that is open. */
  update(threads, current, more) {
    const wanted = new Set(threads.map((t) => t.id));
    for (const [id, row] of this.rows) {
      if (wanted.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    threads.forEach((thread, i) => {
      let row = this.rows.get(thread.id);
      if (!row) {
        row = this.#row(thread);
        this.rows.set(thread.id, row);
      }
      if (this.list.children[i] !== row.element) this.list.insertBefore(row.element, this.list.children[i] ?? null);
      row.thread = thread;
      setText(row.title, titleOf(thread));
      const status = thread.running_run?.status;
      row.element.dataset.run = status ?? '';
      setText(row.when, status === 'queued' ? 'waiting' : status ? 'working' : moment(instant(thread.updated_at ?? thread.created_at), this.on.now()));
      if (thread.id === current) row.link.setAttribute('aria-current', 'page');
      else row.link.removeAttribute('aria-current');
    });
    show(byId('threads-more'), more);
    show(this.note, threads.length === 0);
    if (!threads.length) setText(this.note, 'Your conversations will be listed here.');
  }

  #row(thread) {
    const row = { thread };
    row.title = h('span', { class: 'thread-name' });
    row.when = h('span', { class: 'thread-when' });
    row.link = h('a', { class: 'thread-link', href: `#/t/${thread.id}` }, row.title, row.when);
    row.element = h('li', { class: 'thread-row' }, row.link,
      h('span', { class: 'thread-actions' },
        h('button', { class: 'icon-button', type: 'button', 'aria-label': `Rename ${titleOf(thread)}`, title: 'Rename', onclick: () => this.#rename(row.thread) }, icon('edit')),
        h('button', { class: 'icon-button', type: 'button', 'aria-label': `Delete ${titleOf(thread)}`, title: 'Delete', onclick: () => this.#remove(row.thread) }, icon('trash'))));
    return row;
  }

  #rename(thread) {
    const input = h('input', { id: 'thread-name-input', value: titleOf(thread), maxlength: '200', required: true });
    this.#ask('Rename the conversation', [h('label', { class: 'field' }, h('span', {}, 'Title'), input)], 'Rename', () => this.on.rename(thread.id, input.value.trim()));
    input.select();
  }

  #remove(thread) {
    this.#ask('Delete the conversation?', [h('p', {}, `“${titleOf(thread)}” with its answers will be gone for good.${thread.running_run ? ' Agents at work in it are stopped.' : ''}`)], 'Delete', () => this.on.remove(thread.id));
  }

  #ask(title, body, word, action) {
    const problem = h('p', { class: 'alert', role: 'alert', hidden: true });
    const go = h('button', { class: 'button primary', type: 'submit' }, word);
    const form = h('form', { class: 'form' }, ...body, problem,
      h('div', { class: 'form-buttons' }, h('button', { class: 'button', type: 'button', onclick: () => this.dialog.close() }, 'Cancel'), go));
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        await action();
        this.dialog.close();
      } catch (error) {
        setText(problem, error.text ?? 'That did not work.');
        show(problem, true);
      }
      go.disabled = false;
    });
    fillDialog(this.dialog, 'thread-dialog-title', title, form);
    this.dialog.showModal();
  }
}

/** A thread's title, or what stands for it. */
export function titleOf(thread) {
  return thread?.title?.trim() || 'Untitled conversation';
}

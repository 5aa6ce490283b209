/** Building the document from text that cannot become markup. */

/**
 * An element: `h('button', {class: 'x', type: 'button', onclick: f}, 'text', child, …)`. Properties that
 * are functions become listeners; `false`, `null` and `undefined` are left out; `true` is an empty value.
 */
export function h(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === 'function') element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/** One of the drawings in the page's sprite; decoration only. */
export function icon(name) {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(ns, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** The element with this id; it is in `index.html`. */
export function byId(id) {
  return document.getElementById(id);
}

/** Writes text only when it differs, so that screen readers and selections are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setData(element, key, value) {
  if (element.dataset[key] !== value) element.dataset[key] = value;
}

/** Shows or hides. */
export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Copies text and says so on the button for a moment. */
export async function copyFrom(button, text) {
  const label = button.querySelector('.button-label') ?? button;
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(text);
    label.textContent = 'Copied';
  } catch {
    label.textContent = 'Not allowed here';
  }
  setTimeout(() => {
    label.textContent = before;
  }, 1_500);
}

/** A dialog's title and body, in one that may be open already: the close button keeps the focus it has. */
export function fillDialog(dialog, titleId, title, ...body) {
  let head = dialog.querySelector('.dialog-title');
  if (!head) {
    head = h('h2', { id: titleId, class: 'dialog-title' });
    const close = h('button', { class: 'icon-button', type: 'button', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close'));
    dialog.replaceChildren(h('div', { class: 'dialog-head' }, head, close), h('div', { class: 'dialog-body' }));
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog) dialog.close();
    });
  }
  setText(head, title);
  dialog.querySelector('.dialog-body').replaceChildren(...body.filter((child) => child));
}

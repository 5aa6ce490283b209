/** A Markdown tree as document nodes. Text becomes text, never markup. */
import { h, icon } from './dom.js';
import { plainText } from '../machine/markdown.js';

/**
 * Renders blocks. `open.fact(id, button)` opens a number's origin; `open.image(name)` gives a promise of
 * a blob URL for an artifact. Headings sink below the page's own (`base` is the level of `#`).
 */
export function renderBlocks(blocks, open, base = 3) {
  return blocks.map((block) => renderBlock(block, open, base));
}

function renderBlock(block, open, base) {
  switch (block.type) {
    case 'heading':
      return h(`h${Math.min(6, base + block.level - 1)}`, { class: `md-h md-h${block.level}` }, renderInline(block.inline, open));
    case 'paragraph':
      return onlyImages(block.inline)
        ? h('div', { class: 'md-figures' }, renderInline(block.inline.filter((n) => n.type === 'image'), open))
        : h('p', {}, renderInline(block.inline, open));
    case 'list':
      return h(block.ordered ? 'ol' : 'ul', { start: block.ordered && block.start !== 1 ? block.start : null },
        block.items.map((item) => h('li', {}, tight(item) ? renderInline(item[0].inline, open).concat(renderBlocks(item.slice(1), open, base)) : renderBlocks(item, open, base))));
    case 'quote':
      return h('blockquote', {}, renderBlocks(block.blocks, open, base));
    case 'code':
      return h('pre', { class: 'code', tabindex: '0', 'data-lang': block.lang || null }, h('code', {}, block.text));
    case 'table':
      return renderTable(block, open);
    default:
      return h('hr');
  }
}

function onlyImages(inline) {
  return inline.some((n) => n.type === 'image') && inline.every((n) => n.type === 'image' || n.type === 'break' || (n.type === 'text' && !n.text.trim()));
}

function tight(item) {
  return item[0]?.type === 'paragraph' && !onlyImages(item[0].inline) && item.slice(1).every((b) => b.type === 'list');
}

function renderTable({ align, head, rows }, open) {
  const cell = (name, inline, column, extra = {}) => h(name, { class: align[column] === 'left' ? null : `to-${align[column]}`, ...extra }, renderInline(inline, open));
  return h('div', { class: 'table-wrap' },
    h('table', {},
      h('thead', {}, h('tr', {}, head.map((inline, column) => cell('th', inline, column, { scope: 'col' })))),
      h('tbody', {}, rows.map((row) => h('tr', {}, row.map((inline, column) => cell('td', inline, column)))))));
}

function renderInline(nodes, open) {
  return nodes.map((node) => {
    switch (node.type) {
      case 'strong':
        return h('strong', {}, renderInline(node.inline, open));
      case 'em':
        return h('em', {}, renderInline(node.inline, open));
      case 'strike':
        return h('s', {}, renderInline(node.inline, open));
      case 'code':
        return h('code', {}, node.text);
      case 'break':
        return h('br');
      case 'link':
        return renderLink(node, open);
      case 'image':
        return renderImage(node, open);
      default:
        return document.createTextNode(node.text);
    }
  });
}

function renderLink(node, open) {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(node.href) ?? [];
  const words = renderInline(node.inline, open);
  switch (scheme?.toLowerCase()) {
    case 'fact': {
      const button = h('button', { class: 'fact', type: 'button', 'data-fact': rest, 'aria-haspopup': 'dialog', title: 'Where this number comes from' }, words);
      button.addEventListener('click', () => open.fact(rest, plainText(node.inline)));
      return button;
    }
    case 'artifact': {
      const button = h('button', { class: 'link', type: 'button' }, words);
      button.addEventListener('click', () => open.download(rest));
      return button;
    }
    case 'http':
    case 'https':
    case 'mailto':
      return h('a', { href: node.href, target: '_blank', rel: 'noopener noreferrer' }, words);
    default:
      return h('span', {}, words);
  }
}

/** Only our own artifacts are shown; the policy of the page forbids all others, so those stay words. */
function renderImage(node, open) {
  const [, name] = /^artifact:(.+)$/s.exec(node.src) ?? [];
  if (!name) return h('span', { class: 'no-image' }, node.alt || node.src);
  const frame = h('div', { class: 'chart-frame', 'data-state': 'loading', tabindex: '0', role: 'group', 'aria-label': node.alt || 'Chart' }, h('span', { class: 'chart-note' }, 'Drawing …'));
  const figure = h('figure', { class: 'chart' }, frame);
  open.image(name).then((url) => {
    const image = h('img', { src: url, alt: node.alt });
    image.addEventListener('load', () => {
      frame.dataset.state = 'shown';
    });
    image.addEventListener('error', () => failed('This picture cannot be shown.'));
    frame.replaceChildren(image);
  }, (problem) => failed(problem.text ?? 'This picture could not be loaded.'));
  function failed(text) {
    frame.dataset.state = 'failed';
    frame.replaceChildren(h('span', { class: 'chart-note' }, icon('warn'), text));
  }
  return figure;
}

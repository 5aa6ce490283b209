/**
 * Markdown as a tree of plain objects; nothing here knows about HTML, so nothing here can be tricked
 * into writing it. Takes what our reports use (GitHub's flavour of headings, lists, tables, code,
 * emphasis, links, images); anything else stays text. Runs in time proportional to the text.
 *
 * Blocks: heading{level,inline} paragraph{inline} list{ordered,start,items:[blocks]} quote{blocks}
 *         code{lang,text} table{align,head,rows} rule
 * Inline: text{text} strong{inline} em{inline} strike{inline} code{text} link{href,inline} image{src,alt} break
 */

const MAX_DEPTH = 8;

/** Parses a whole text. */
export function parseMarkdown(text) {
  return blocks(String(text).replace(/\r\n?/g, '\n').replace(/\t/g, '    ').split('\n'), 0);
}

/** The words of a tree without its markup, for titles and announcements. */
export function plainText(nodes) {
  return nodes.map((n) => n.text ?? n.alt ?? plainText(n.inline ?? n.blocks ?? n.items?.flat() ?? [])).join('');
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+-]*)/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:( {1,4})(?=\S)| *$)/;
const QUOTE = /^ {0,3}> ?/;
const DELIMITER_CELL = /^\s*:?-+:?\s*$/;

function blocks(lines, depth) {
  const out = [];
  let i = 0;
  while (i < lines.length) {
    const line = lines[i];
    if (!line.trim()) {
      i += 1;
      continue;
    }
    const fence = FENCE.exec(line);
    if (fence) {
      const [node, next] = fenced(lines, i, fence);
      out.push(node);
      i = next;
      continue;
    }
    const heading = HEADING.exec(line);
    if (heading) {
      out.push({ type: 'heading', level: heading[1].length, inline: parseInline(heading[2] ?? '') });
      i += 1;
      continue;
    }
    if (RULE.test(line)) {
      out.push({ type: 'rule' });
      i += 1;
      continue;
    }
    if (depth < MAX_DEPTH && QUOTE.test(line)) {
      const inner = [];
      while (i < lines.length && QUOTE.test(lines[i])) inner.push(lines[i++].replace(QUOTE, ''));
      out.push({ type: 'quote', blocks: blocks(inner, depth + 1) });
      continue;
    }
    if (depth < MAX_DEPTH && ITEM.test(line)) {
      const [node, next] = list(lines, i, depth);
      out.push(node);
      i = next;
      continue;
    }
    if (isTable(lines, i)) {
      const [node, next] = table(lines, i);
      out.push(node);
      i = next;
      continue;
    }
    const words = [line];
    i += 1;
    while (i < lines.length && lines[i].trim() && !startsBlock(lines, i, depth)) words.push(lines[i++]);
    out.push({ type: 'paragraph', inline: parseInline(words.map((w) => w.trimStart()).join('\n').trimEnd()) });
  }
  return out;
}

function startsBlock(lines, i, depth) {
  const line = lines[i];
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line)
    || (depth < MAX_DEPTH && (QUOTE.test(line) || ITEM.test(line))) || isTable(lines, i);
}

function fenced(lines, start, fence) {
  const close = new RegExp(`^ {0,3}${fence[1][0]}{${fence[1].length},}\\s*$`);
  let i = start + 1;
  const body = [];
  while (i < lines.length && !close.test(lines[i])) body.push(lines[i++]);
  return [{ type: 'code', lang: fence[2] ?? '', text: body.join('\n') }, i + 1];
}

function list(lines, start, depth) {
  const first = ITEM.exec(lines[start]);
  const ordered = /\d/.test(first[2]);
  const sameKind = (m) => m && /\d/.test(m[2]) === ordered && m[2].at(-1) === first[2].at(-1);
  const items = [];
  let i = start;
  while (i < lines.length) {
    const marker = ITEM.exec(lines[i]);
    if (!sameKind(marker) || RULE.test(lines[i])) break;
    const indent = marker[1].length + marker[2].length + (marker[3]?.length ?? 1);
    const inner = [lines[i].slice(indent)];
    i += 1;
    while (i < lines.length) {
      const line = lines[i];
      const indented = line.length - line.trimStart().length;
      if (!line.trim()) {
        const next = lines[i + 1] ?? '';
        if (next.trim() && next.length - next.trimStart().length >= indent) inner.push('');
        else break;
      } else if (indented >= indent) inner.push(line.slice(indent));
      else if (ITEM.test(line) || startsBlock(lines, i, depth) || inner.at(-1) === '') break;
      else inner.push(line.trimStart());
      i += 1;
    }
    items.push(blocks(inner, depth + 1));
    while (i < lines.length && !lines[i].trim() && sameKind(ITEM.exec(lines[i + 1] ?? ''))) i += 1;
  }
  return [{ type: 'list', ordered, start: ordered ? Number.parseInt(first[2], 10) : 1, items }, i];
}

function isTable(lines, i) {
  if (!lines[i].includes('|') || i + 1 >= lines.length) return false;
  const delimiter = cells(lines[i + 1]);
  return lines[i + 1].includes('-') && delimiter.every((c) => DELIMITER_CELL.test(c)) && delimiter.length === cells(lines[i]).length;
}

function table(lines, start) {
  const head = cells(lines[start]).map(parseInline);
  const align = cells(lines[start + 1]).map((cell) => {
    const c = cell.trim();
    if (c.endsWith(':')) return c.startsWith(':') ? 'center' : 'right';
    return 'left';
  });
  const rows = [];
  let i = start + 2;
  while (i < lines.length && lines[i].trim() && lines[i].includes('|')) {
    const row = cells(lines[i]).map(parseInline);
    rows.push(head.map((_, n) => row[n] ?? []));
    i += 1;
  }
  return [{ type: 'table', align, head, rows }, i];
}

/** The cells of a table line; `\|` and bars inside code do not separate. */
function cells(line) {
  const out = [];
  let cell = '';
  let code = false;
  const text = line.trim();
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (c === '\\' && text[i + 1] === '|') {
      cell += '|';
      i += 1;
    } else if (c === '|' && !code) {
      out.push(cell);
      cell = '';
    } else {
      if (c === '`') code = !code;
      cell += c;
    }
  }
  out.push(cell);
  if (text.startsWith('|')) out.shift();
  if (text.endsWith('|') && !text.endsWith('\\|') && out.length && !out.at(-1).trim()) out.pop();
  return out.map((c) => c.trim());
}

const PUNCTUATION = /[!-/:-@[-`{-~]/;
const SPECIAL = /[\\`!\[<*_~\nh&]/g;
const ENTITIES = { amp: '&', apos: "'", gt: '>', lt: '<', nbsp: '\u00a0', quot: '"' };

/** Parses the text of one paragraph, heading or cell. */
export function parseInline(text, depth = 0) {
  const out = [];
  let plain = '';
  const flush = () => {
    if (plain) out.push({ type: 'text', text: plain });
    plain = '';
  };
  const add = (node) => {
    flush();
    out.push(node);
  };
  let i = 0;
  while (i < text.length) {
    SPECIAL.lastIndex = i;
    const hit = SPECIAL.exec(text);
    if (!hit) {
      plain += text.slice(i);
      break;
    }
    plain += text.slice(i, hit.index);
    i = hit.index;
    const found = special(text, i, depth);
    if (found) {
      if (found.text !== undefined) plain += found.text;
      else add(found.node);
      i = found.next;
    } else {
      plain += text[i];
      i += 1;
    }
  }
  flush();
  return out;
}

function special(text, i, depth) {
  switch (text[i]) {
    case '\\':
      if (text[i + 1] === '\n') return { node: { type: 'break' }, next: i + 2 };
      return PUNCTUATION.test(text[i + 1] ?? '') ? { text: text[i + 1], next: i + 2 } : null;
    case '\n':
      return / {2,}$/.test(text.slice(Math.max(0, i - 3), i)) ? { node: { type: 'break' }, next: i + 1 } : { text: ' ', next: i + 1 };
    case '`':
      return codeSpan(text, i);
    case '!':
      return text[i + 1] === '[' ? link(text, i + 1, depth, true) : null;
    case '[':
      return link(text, i, depth, false);
    case '&': {
      const entity = /^&(?:([a-z]{2,4})|#(\d{1,6}));/.exec(text.slice(i, i + 10));
      const character = entity && (entity[1] ? ENTITIES[entity[1]] : characterOf(Number(entity[2])));
      return character ? { text: character, next: i + entity[0].length } : null;
    }
    case '<': {
      const auto = /^<(https?:\/\/[^\s<>]{1,2000}|mailto:[^\s<>]{1,300})>/.exec(text.slice(i, i + 2010));
      return auto ? { node: { type: 'link', href: auto[1], inline: [{ type: 'text', text: auto[1] }] }, next: i + auto[0].length } : null;
    }
    case 'h': {
      if (!text.startsWith('http', i) || (i > 0 && /[\w/]/.test(text[i - 1]))) return null;
      const bare = /^https?:\/\/[^\s<>"'`|]{1,2000}/.exec(text.slice(i, i + 2010));
      if (!bare) return null;
      const href = bare[0].replace(/[.,;:!?)\]*_]+$/, '');
      return { node: { type: 'link', href, inline: [{ type: 'text', text: href }] }, next: i + href.length };
    }
    default:
      return depth < MAX_DEPTH ? emphasis(text, i, depth) : null;
  }
}

/** The character of a number; control characters and halves of pairs are none. */
function characterOf(number) {
  const usable = number >= 32 && !(number >= 127 && number < 160) && !(number >= 0xd800 && number < 0xe000);
  return usable ? String.fromCodePoint(number) : null;
}

function codeSpan(text, i) {
  const ticks = /^`+/.exec(text.slice(i, i + 32))[0];
  let end = text.indexOf(ticks, i + ticks.length);
  while (end >= 0 && (text[end + ticks.length] === '`' || text[end - 1] === '`')) {
    let past = end;
    while (text[past] === '`') past += 1;
    end = text.indexOf(ticks, Math.max(past, end + 1));
  }
  if (end < 0) return { text: ticks, next: i + ticks.length };
  const body = text.slice(i + ticks.length, end).replace(/\n/g, ' ');
  const trimmed = /^ .*\S.* $/.test(body) ? body.slice(1, -1) : body;
  return { node: { type: 'code', text: trimmed }, next: end + ticks.length };
}

/** `[text](target "title")` beginning at `[`. */
function link(text, open, depth, image) {
  const close = closing(text, open);
  if (close < 0 || text[close + 1] !== '(') return null;
  const target = /^\(\s*<?([^\s<>()]*(?:\([^\s()]*\)[^\s<>()]*)*)>?(?:\s+"[^"]*")?\s*\)/.exec(text.slice(close + 1, close + 3000));
  if (!target) return null;
  const label = text.slice(open + 1, close);
  const next = close + 1 + target[0].length;
  if (image) return { node: { type: 'image', src: target[1], alt: plainText(parseInline(label, MAX_DEPTH - 1)) }, next };
  if (depth >= MAX_DEPTH) return null;
  return { node: { type: 'link', href: target[1], inline: parseInline(label, depth + 1).filter((n) => n.type !== 'link') }, next };
}

/** The bracket that closes the one at `open`; looks at most 1,000 characters ahead. */
function closing(text, open) {
  let level = 0;
  const end = Math.min(text.length, open + 1_000);
  for (let i = open; i < end; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '[') level += 1;
    else if (text[i] === ']' && --level === 0) return i;
  }
  return -1;
}

const EMPHASIS = { '**': 'strong', __: 'strong', '~~': 'strike', '*': 'em', _: 'em' };

function emphasis(text, i, depth) {
  const c = text[i];
  const mark = text[i + 1] === c ? c + c : c;
  const type = EMPHASIS[mark];
  const skip = { text: mark, next: i + mark.length };
  if (!type) return skip;
  const before = text[i - 1] ?? ' ';
  const after = text[i + mark.length] ?? ' ';
  if (/\s/.test(after) || (c === '_' && /\w/.test(before))) return skip;
  const limit = Math.min(text.length, i + 4_000);
  for (let j = i + mark.length + 1; j < limit; j += 1) {
    if (text[j] === '\\') {
      j += 1;
    } else if (text[j] === '`') {
      const span = codeSpan(text, j);
      j = span.next - 1;
    } else if (text.startsWith(mark, j) && !/\s/.test(text[j - 1])) {
      if (mark.length === 1 && text[j + 1] === c) {
        j += 1;
        continue;
      }
      if (c === '_' && /\w/.test(text[j + mark.length] ?? ' ')) continue;
      return { node: { type, inline: parseInline(text.slice(i + mark.length, j), depth + 1) }, next: j + mark.length };
    }
  }
  return skip;
}

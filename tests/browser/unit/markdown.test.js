import assert from 'node:assert/strict';
import test from 'node:test';
import { parseInline, parseMarkdown, plainText } from '../../../adapters/warp/page/app/machine/markdown.js';
import { seeded } from './seeded.js';

const inline = (text) => parseInline(text);
const text = (t) => ({ type: 'text', text: t });

test('headings, paragraphs and rules', () => {
  assert.deepEqual(parseMarkdown('# Title\n\none\ntwo\n\n---\n### Small ###'), [
    { type: 'heading', level: 1, inline: [text('Title')] },
    { type: 'paragraph', inline: [text('one two')] },
    { type: 'rule' },
    { type: 'heading', level: 3, inline: [text('Small')] },
  ]);
});

test('two spaces or a backslash at the end break the line', () => {
  assert.deepEqual(inline('a\\\nb'), [text('a'), { type: 'break' }, text('b')]);
  assert.deepEqual(parseMarkdown('a  \nb')[0].inline.map((n) => n.type), ['text', 'break', 'text']);
});

test('bold, italic, struck, code, and their nesting', () => {
  assert.deepEqual(inline('**a *b* c** ~~d~~ `e*f*`'), [
    { type: 'strong', inline: [text('a '), { type: 'em', inline: [text('b')] }, text(' c')] },
    text(' '),
    { type: 'strike', inline: [text('d')] },
    text(' '),
    { type: 'code', text: 'e*f*' },
  ]);
});

test('underscores inside words and lone stars are text', () => {
  assert.equal(plainText(inline('usage_event_id 2 * 3 ** 4 a*')), 'usage_event_id 2 * 3 ** 4 a*');
  assert.ok(inline('usage_event_id 2 * 3 a*').every((n) => n.type === 'text'));
});

test('links to facts and pages, images of artifacts', () => {
  assert.deepEqual(inline('[$1,2](fact:f_1) ![A **b**](artifact:x.svg) [t](https://a.b/c_(d) "e")'), [
    { type: 'link', href: 'fact:f_1', inline: [text('$1,2')] },
    text(' '),
    { type: 'image', src: 'artifact:x.svg', alt: 'A b' },
    text(' '),
    { type: 'link', href: 'https://a.b/c_(d)', inline: [text('t')] },
  ]);
});

test('a bold fact keeps its link', () => {
  assert.deepEqual(inline('**[5](fact:x)**'), [{ type: 'strong', inline: [{ type: 'link', href: 'fact:x', inline: [text('5')] }] }]);
});

test('bare addresses become links without the full stop after them', () => {
  assert.deepEqual(inline('see https://a.b/c. now'), [text('see '), { type: 'link', href: 'https://a.b/c', inline: [text('https://a.b/c')] }, text('. now')]);
});

test('tables with alignment, bars in code and escaped bars', () => {
  const [table] = parseMarkdown('| a | b |\n|:--|--:|\n| `x|y` | p\\|q |\n| only |\n\nafter');
  assert.deepEqual(table.align, ['left', 'right']);
  assert.deepEqual(table.head, [[text('a')], [text('b')]]);
  assert.deepEqual(table.rows, [[[{ type: 'code', text: 'x|y' }], [text('p|q')]], [[text('only')], []]]);
});

test('a line with a bar and no delimiter line is a paragraph', () => {
  assert.equal(parseMarkdown('a | b\nc | d')[0].type, 'paragraph');
});

test('lists: nested, ordered from a number, with paragraphs', () => {
  const [list] = parseMarkdown('3. one\n   - in\n   - ner\n4. two\n\n   more');
  assert.equal(list.ordered, true);
  assert.equal(list.start, 3);
  assert.equal(list.items.length, 2);
  assert.deepEqual(list.items[0].map((b) => b.type), ['paragraph', 'list']);
  assert.deepEqual(list.items[1].map((b) => b.type), ['paragraph', 'paragraph']);
});

test('code blocks keep everything as it is', () => {
  assert.deepEqual(parseMarkdown('```sql\nSELECT *\n  FROM `x`\n\n# no heading\n```\nafter')[0], { type: 'code', lang: 'sql', text: 'SELECT *\n  FROM `x`\n\n# no heading' });
  assert.equal(parseMarkdown('```\nnever closed').at(0).text, 'never closed');
});

test('quotes hold blocks', () => {
  assert.deepEqual(parseMarkdown('> a\n> - b')[0].blocks.map((b) => b.type), ['paragraph', 'list']);
});

test('markup of any other language is text', () => {
  const hostile = '<script>alert(1)</script> <img src=x onerror=alert(1)> <b>';
  assert.deepEqual(inline(hostile), [text(hostile)]);
});

test('entities are the characters they name, and nothing more', () => {
  assert.deepEqual(inline('&lt;b&gt; &amp;lt; &#8364; AT&T &nope; &#0; &#55296;'), [text('<b> &lt; € AT&T &nope; &#0; &#55296;')]);
});

test('no text is lost and nothing throws, for random texts of special characters', () => {
  const alphabet = ['*', '_', '`', '[', ']', '(', ')', '!', '\\', '\n', '|', '-', '#', '>', ' ', 'a', 'b1', '~', '<', 'http://x', '1. ', '- ', ':'];
  for (let seed = 1; seed <= 3_000; seed += 1) {
    const random = seeded(seed);
    const source = Array.from({ length: 40 }, () => alphabet[Math.floor(random() * alphabet.length)]).join('');
    const letters = (s) => s.replace(/[^ab]/g, '');
    const tree = parseMarkdown(source);
    assert.ok(Array.isArray(tree));
    const seen = JSON.stringify(tree);
    for (const letter of new Set(letters(source))) assert.ok(seen.includes(letter), `seed ${seed}: ${JSON.stringify(source)}`);
  }
});

test('hostile texts of 200 kB take no noticeable time', () => {
  const size = 200_000;
  for (const piece of ['*', '**a', '[', '![a](', '`', '_a', '> ', '- ', '|', '[a](b', '~~', '<http://', 'http://', '1. ', '*a_']) {
    const source = piece.repeat(Math.ceil(size / piece.length)).slice(0, size);
    const started = performance.now();
    parseMarkdown(source);
    const took = performance.now() - started;
    assert.ok(took < 4_000, `${JSON.stringify(piece)}: ${Math.round(took)} ms`);
  }
});

/** The usage records in words: how many, of when, and whether they are anybody's real spending. */
import { counted, fullDay, instant } from './format.js';

const GENERATED = 'demo-synthetic';

/** `none`, `generated` for the demo, `own`, or `mixed`. */
export function originOf(summary) {
  if (!summary?.rows) return 'none';
  const sources = (summary.sources ?? []).map((s) => s.source);
  const generated = sources.filter((source) => source === GENERATED).length;
  if (generated === 0) return 'own';
  return generated === sources.length ? 'generated' : 'mixed';
}

/** What data there are, in a sentence. */
export function summaryWords(summary) {
  const origin = originOf(summary);
  if (origin === 'none') return 'There are no usage records yet.';
  const day = (value) => fullDay(instant(value));
  const note = { generated: ', generated for the demo', mixed: ', some of them generated for the demo', own: '' }[origin];
  return `${counted(summary.rows, 'record')}, ${day(summary.first_day ?? summary.first_ts)} to ${day(summary.last_day ?? summary.last_ts)}${note}.`;
}

/** What a demo visitor must know about the numbers; without a summary nothing is said of them. */
export function demoWords(summary) {
  const visitor = 'You are a visitor of your own';
  if (!summary) return `${visitor}.`;
  switch (originOf(summary)) {
    case 'generated':
      return `${visitor}, with generated usage data: not real spending. Import yours under “Usage data”.`;
    case 'mixed':
      return `${visitor}; some of the usage data are generated: not real spending.`;
    case 'own':
      return `${visitor}; the usage data are those you imported.`;
    default:
      return `${visitor}, without usage data. Import yours under “Usage data”.`;
  }
}

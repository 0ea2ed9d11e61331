import type { Spread } from './statistics';

/** One promise of the bench: what was measured, held against its limit. */
export interface Line {
  readonly what: string;
  readonly limit: string;
  /** As text, with its spread; null where it could not be measured, with `note` saying why. */
  readonly measured: string | null;
  readonly isMet: boolean | null;
  readonly note?: string;
}

export interface SectionReport {
  readonly id: string;
  readonly title: string;
  /** How it was measured, and what to know when reading it. */
  readonly remarks: readonly string[];
  readonly table: { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] } | null;
  readonly lines: readonly Line[];
}

/** A figure of three significant digits, without exponent. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9))));
  return value.toFixed(Math.min(digits, 3));
}

export function spreadText({ median, min, max }: Spread, unit = ''): string {
  return `${figure(median)}${unit} (${figure(min)}–${figure(max)})`;
}

export function atMost(what: string, spread: Spread, limit: number, unit = ''): Line {
  return {
    what,
    limit: `≤ ${limit}${unit}`,
    measured: spreadText(spread, unit),
    isMet: spread.median <= limit,
  };
}

export function atLeast(what: string, spread: Spread, limit: number, unit = ''): Line {
  return {
    what,
    limit: `≥ ${limit}${unit}`,
    measured: spreadText(spread, unit),
    isMet: spread.median >= limit,
  };
}

export function notMeasured(what: string, limit: string, note: string): Line {
  return { what, limit, measured: null, isMet: null, note };
}

/** A Markdown table. A bar in a cell is escaped, a line break becomes a blank. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replace(/\|/g, '\\|').replace(/\s*\n\s*/g, ' ')).join(' | ')} |`;
  for (const row of rows)
    if (row.length !== head.length) throw new RangeError(`${row.length} cells under ${head.length} headings`);
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}

export function sectionMarkdown(section: SectionReport): string {
  const lines = section.lines.map(({ what, limit, measured, isMet, note }) => [
    what,
    limit,
    measured ?? 'not measured',
    `${isMet === null ? '–' : isMet ? 'yes' : '**no**'}${note === undefined ? '' : `: ${note}`}`,
  ]);
  return [
    `### ${section.title}`,
    ...(section.table ? [markdownTable(section.table.head, section.table.rows)] : []),
    ...(lines.length > 0 ? [markdownTable(['line', 'limit', 'measured', 'met'], lines)] : []),
    ...(section.remarks.length > 0 ? [section.remarks.map((remark) => `- ${remark}`).join('\n')] : []),
  ].join('\n\n');
}

const begin = (id: string): string => `<!-- bench:gateway:${id} -->`;
const end = (id: string): string => `<!-- /bench:gateway:${id} -->`;

/** The page with what lies between the section's markers replaced. Throws where the page has not exactly one such place. */
export function replaceBetweenMarkers(page: string, id: string, text: string): string {
  const from = page.indexOf(begin(id));
  const to = page.indexOf(end(id));
  const isOnce = page.lastIndexOf(begin(id)) === from && page.lastIndexOf(end(id)) === to;
  if (from < 0 || to < from || !isOnce)
    throw new Error(`the page needs ${begin(id)} and ${end(id)} once, in this order`);
  return `${page.slice(0, from + begin(id).length)}\n${text}\n${page.slice(to)}`;
}

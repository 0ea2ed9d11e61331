export { shortDigest } from '../../workflows/domain/digest';

/** Where a command writes. `columns` is the terminal's width; plain lines and no colour where there is no terminal. */
export interface Output {
  readonly isTerminal: boolean;
  readonly columns: number;
  line(text: string): void;
  /** For what is not the result: progress and hints. */
  note(text: string): void;
}

export function processOutput(): Output {
  return {
    isTerminal: process.stdout.isTTY,
    columns: process.stdout.columns ?? 100,
    line: (text) => void process.stdout.write(`${text}\n`),
    note: (text) => void process.stderr.write(`${text}\n`),
  };
}

const MAX_CELL = 160;

/** Left-aligned columns, as wide as their widest cell. Cells are one line of at most 160 characters: `--json` has all. */
export function formatTable(header: readonly string[], given: readonly (readonly string[])[]): string[] {
  const rows = given.map((row) => row.map(toCell));
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const format = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [format(header), format(widths.map((width) => '-'.repeat(width))), ...rows.map(format)];
}

/** Text of others (log summaries, trainer output) must not move the terminal's cursor. */
function toCell(text: string): string {
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').replace(/ {2,}/g, ' ');
  return line.length > MAX_CELL ? `${line.slice(0, MAX_CELL - 1)}…` : line;
}

/** `1234.5678` as `1235`, `0.12345` as `0.1235`; a dash for what was not measured. */
export function formatNumber(value: number | null | undefined): string {
  if (value === null || value === undefined) return '-';
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

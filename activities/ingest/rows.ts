import { SlipwayError } from '../../workflows/domain/errors';
import type { ModelSpec } from '../../workflows/domain/spec';
import { quoteName, quoteText, type DuckDb } from '../../infra/data/duckdb';
import { formatPercent } from '../../infra/spec/units';
import type { ReadColumn } from './columns';
import type { Quarantined } from './job';
import type { OpenSource } from './source';

/** Instants in epoch ms that decide where a row belongs. */
export interface Boundaries {
  /** Null: unbounded. */
  readonly fromMs: number | null;
  readonly validationFromMs: number;
  readonly holdoutFromMs: number;
  readonly asOfMs: number;
}

export function boundariesOf(spec: ModelSpec, asOf: string): Boundaries {
  const asOfMs = Date.parse(asOf);
  const holdoutFromMs = asOfMs - spec.data.holdoutMs;
  const bounds = [
    ...(spec.data.from === null ? [] : [Date.parse(spec.data.from)]),
    ...(spec.data.lastMs === null ? [] : [asOfMs - spec.data.lastMs]),
  ];
  return {
    fromMs: bounds.length === 0 ? null : Math.max(...bounds),
    validationFromMs: holdoutFromMs - spec.data.validationMs,
    holdoutFromMs,
    asOfMs,
  };
}

/** The earliest instant that JavaScript and DuckDB both have. */
const BEGINNING_MS = -8.64e15;

/** Every row known at the as-of is holdout. */
export function holdoutBoundaries(asOf: string): Boundaries {
  return { fromMs: null, validationFromMs: BEGINNING_MS, holdoutFromMs: BEGINNING_MS, asOfMs: Date.parse(asOf) };
}

export const sqlInstant = (epochMs: number): string => `epoch_ms(${Math.round(epochMs)}::BIGINT)`;

/**
 * Table `stage`: rows of the window, and rows that have no readable event time; canonical values under the declared names,
 * `0_reason` where the row is bad, and then the source's own text as `0_raw_<n>`. Returns how many rows lay outside the window.
 */
export async function stageRows(
  db: DuckDb,
  columns: readonly ReadColumn[],
  source: OpenSource,
  spec: ModelSpec,
  at: Boundaries,
): Promise<number> {
  const value = (index: number): string => `"0_value_${index}"`;
  const rules = columns.flatMap((column, index) =>
    column.rules.map(({ when, reason }) => `WHEN ${when(value(index))} THEN ${quoteText(reason)}`),
  );
  const orphan = orphanLabelRule(columns, spec, value);
  const values = columns.map((column, index) => `${column.value} AS ${value(index)}`);
  const event = value(columns.findIndex((column) => column.name === spec.data.eventTime));
  const inWindow = [
    ...(at.fromMs === null ? [] : [`${event} >= ${sqlInstant(at.fromMs)}`]),
    `${event} < ${sqlInstant(at.asOfMs)}`,
  ].join(' AND ');
  const named = columns.map((column, index) => `${value(index)} AS ${quoteName(column.name)}`);
  const raw = columns.map((_, index) => `CASE WHEN reason IS NOT NULL THEN "0_raw_${index}" END AS "0_raw_${index}"`);
  await db.run(`CREATE TABLE stage AS
    WITH converted AS (SELECT *, ${values.join(', ')} FROM ${source.relation}),
    judged AS (SELECT ${columns.map((column, index) => `${value(index)}, ${column.raw} AS "0_raw_${index}"`).join(', ')},
      CASE ${[...rules, ...orphan].join(' ')} END AS reason FROM converted)
    SELECT ${named.join(', ')}, ${raw.join(', ')}, reason AS "0_reason" FROM judged WHERE ${event} IS NULL OR (${inWindow})`);
  const [staged] = await db.rows<{ rows: number }>('SELECT count(*) AS rows FROM stage');
  return source.rows - Number(staged!.rows);
}

/** A label that is there but says not when it became known could be from the future. */
function orphanLabelRule(columns: readonly ReadColumn[], spec: ModelSpec, value: (index: number) => string): string[] {
  const { knownAt, column } = spec.label;
  if (knownAt === null) return [];
  const indexOf = (name: string): number => columns.findIndex((candidate) => candidate.name === name);
  return [
    `WHEN ${value(indexOf(column))} IS NOT NULL AND ${value(indexOf(knownAt))} IS NULL THEN ${quoteText(`${knownAt}: missing, though the label is there`)}`,
  ];
}

/**
 * Marks all rows of an id but one as duplicates: the earliest stays, then the smallest by its values, so that the choice does not depend
 * on the order of the source.
 */
export async function markDuplicates(db: DuckDb, columns: readonly ReadColumn[], spec: ModelSpec): Promise<void> {
  const id = quoteName(spec.data.id);
  await db.run(
    `CREATE TABLE repeated AS SELECT ${id} AS id FROM stage WHERE "0_reason" IS NULL GROUP BY 1 HAVING count(*) > 1`,
  );
  const [counted] = await db.rows<{ ids: number }>('SELECT count(*) AS ids FROM repeated');
  if (Number(counted!.ids) === 0) return;
  const order = [quoteName(spec.data.eventTime), ...columns.map((column) => quoteName(column.name)), 'rowid'].join(
    ', ',
  );
  await db.run(`UPDATE stage SET "0_reason" = ${quoteText(`${spec.data.id}: duplicate`)} WHERE rowid IN (
    SELECT place FROM (SELECT rowid AS place, row_number() OVER (PARTITION BY ${id} ORDER BY ${order}) AS turn
      FROM stage WHERE "0_reason" IS NULL AND ${id} IN (SELECT id FROM repeated)) WHERE turn > 1)`);
}

/** Writes bad rows with their reason and the source's own values as text; nothing where there are none. */
export async function writeQuarantine(
  db: DuckDb,
  columns: readonly ReadColumn[],
  source: OpenSource,
  path: string,
): Promise<Quarantined> {
  const malformed = source.malformedLines > 0;
  const taken = new Set(columns.map((column) => column.name.toLowerCase()));
  const freeName = (name: string): string => quoteName(taken.has(name) ? `_${name}` : name);
  const values = columns.map(
    (column, index) => `coalesce("0_raw_${index}", ${quoteName(column.name)}::VARCHAR) AS ${quoteName(column.name)}`,
  );
  await db.run(`CREATE TABLE quarantine AS SELECT "0_reason" AS ${freeName('reason')}, ${malformed ? `NULL::VARCHAR AS ${freeName('line')}, ` : ''}${values.join(', ')}
    FROM stage WHERE "0_reason" IS NOT NULL`);
  if (malformed) {
    await db.run(
      `INSERT INTO quarantine (${freeName('reason')}, ${freeName('line')}) SELECT 'line: ' || lower(replace(problem, '_', ' ')), line FROM malformed`,
    );
  }
  const reasons = await db.rows<{ reason: string; rows: number }>(
    `SELECT ${freeName('reason')} AS reason, count(*) AS rows FROM quarantine GROUP BY 1 ORDER BY 2 DESC, 1`,
  );
  const rows = reasons.reduce((sum, row) => sum + Number(row.rows), 0);
  if (rows > 0)
    await db.run(
      `COPY (SELECT * FROM quarantine ORDER BY ALL) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`,
    );
  return { rows, reasons: Object.fromEntries(reasons.map((row) => [row.reason, Number(row.rows)])) };
}

/** Throws DATA_QUARANTINE above the budget, a fraction of the window's rows. */
export async function checkBudget(db: DuckDb, quarantined: Quarantined, budget: number): Promise<void> {
  const [good] = await db.rows<{ rows: number }>('SELECT count(*) AS rows FROM stage WHERE "0_reason" IS NULL');
  const total = Number(good!.rows) + quarantined.rows;
  if (quarantined.rows <= budget * total) return;
  const listed = Object.entries(quarantined.reasons).map(([reason, rows]) => `${reason} (${rows})`);
  const shown = listed.slice(0, 10).join(', ') + (listed.length > 10 ? `, and ${listed.length - 10} more reasons` : '');
  throw new SlipwayError(
    'DATA_QUARANTINE',
    `${quarantined.rows} of ${total} rows are bad (${formatPercent(quarantined.rows / total)}; the budget is ${formatPercent(budget)}): ${shown}`,
  );
}

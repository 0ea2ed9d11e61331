import { SlipwayError } from '../../workflows/domain/errors';
import type { SplitName } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import { quoteName, quoteText, type DuckDb } from '../../infra/data/duckdb';
import type { ReadColumn } from './columns';
import type { IngestedSplit } from './job';
import { sqlInstant, type Boundaries } from './rows';

export const SPLITS: readonly SplitName[] = ['train', 'validation', 'holdout'];

/**
 * Table `snapshot`: good rows with `0_split`. A row is in a split only if its label was known when the next one began (for the holdout: at
 * the as-of), so that nothing is learned or tuned on an answer that was not there. Returns the rows left out, by why.
 */
export async function splitRows(
  db: DuckDb,
  columns: readonly ReadColumn[],
  spec: ModelSpec,
  at: Boundaries,
): Promise<Record<string, number>> {
  const event = quoteName(spec.data.eventTime);
  const label = quoteName(spec.label.column);
  const matured = `${event} + to_milliseconds(${spec.label.maturityMs})`;
  const known = spec.label.knownAt === null ? matured : quoteName(spec.label.knownAt);
  const byAge = (train: string, validation: string, holdout: string): string =>
    `CASE WHEN ${event} >= ${sqlInstant(at.holdoutFromMs)} THEN ${holdout} WHEN ${event} >= ${sqlInstant(at.validationFromMs)} THEN ${validation} ELSE ${train} END`;
  const deadline = byAge(sqlInstant(at.validationFromMs), sqlInstant(at.holdoutFromMs), sqlInstant(at.asOfMs));
  await db.run(`CREATE TABLE snapshot AS SELECT ${columns.map((column) => quoteName(column.name)).join(', ')}, CASE
      WHEN ${label} IS NULL AND ${matured} <= ${sqlInstant(at.asOfMs)} THEN 'unlabelled'
      WHEN ${label} IS NULL OR ${known} > ${deadline} THEN 'immature'
      ELSE ${byAge("'train'", "'validation'", "'holdout'")} END AS "0_split", ${byAge("'train'", "'validation'", "'holdout'")} AS "0_age"
    FROM stage WHERE "0_reason" IS NULL`);
  await db.run('DROP TABLE stage');
  const counts = await db.rows<{ kind: string; rows: number }>(
    `SELECT "0_split" AS kind, count(*) AS rows FROM snapshot WHERE "0_split" IN ('immature', 'unlabelled') GROUP BY 1`,
  );
  return { immature: 0, unlabelled: 0, ...Object.fromEntries(counts.map((row) => [row.kind, Number(row.rows)])) };
}

/** Rows and span of each split; the `needed` ones must have rows, and the first of them labels that differ. Throws DATA_EMPTY_SPLIT, DATA_LABEL (constant). */
export async function measureSplits(
  db: DuckDb,
  spec: ModelSpec,
  at: Boundaries,
  needed: readonly SplitName[] = SPLITS,
): Promise<Record<SplitName, IngestedSplit>> {
  const event = quoteName(spec.data.eventTime);
  const label = quoteName(spec.label.column);
  const found = await db.rows<{
    age: SplitName;
    rows: number;
    from: number;
    to: number;
    low: number;
    high: number;
    aged: number;
  }>(
    `SELECT "0_age" AS age, count(*) FILTER ("0_split" = "0_age") AS rows, epoch_ms(min(${event}) FILTER ("0_split" = "0_age")) AS "from",
       epoch_ms(max(${event}) FILTER ("0_split" = "0_age")) AS "to", min(${label}) FILTER ("0_split" = "0_age") AS low,
       max(${label}) FILTER ("0_split" = "0_age") AS high, count(*) AS aged FROM snapshot GROUP BY 1`,
  );
  const bySplit = new Map(found.map((row) => [row.age, row]));
  const empty = needed.filter((split) => Number(bySplit.get(split)?.rows ?? 0) === 0);
  if (empty.length > 0) {
    const listed = empty.map(
      (split) =>
        `${split} (${spanOf(split, at)}; ${bySplit.get(split)?.aged ?? 0} rows, none with a label known in time)`,
    );
    throw new SlipwayError('DATA_EMPTY_SPLIT', `no rows for ${listed.join(', ')}`);
  }
  const first = needed[0]!;
  const labels = bySplit.get(first)!;
  if (labels.low === labels.high) {
    const rows = `${labels.rows} ${first === 'train' ? 'training' : first} rows`;
    throw new SlipwayError(
      'DATA_LABEL',
      `the label ${spec.label.column} is the same in all ${rows}; there is nothing to ${first === 'train' ? 'learn' : 'measure'}`,
    );
  }
  const instant = (epochMs: number): string => new Date(Number(epochMs)).toISOString();
  return Object.fromEntries(
    SPLITS.map((split) => {
      const row = bySplit.get(split);
      if (!row || Number(row.rows) === 0) return [split, { rows: 0, from: null, to: null }];
      return [split, { rows: Number(row.rows), from: instant(row.from), to: instant(row.to) }];
    }),
  ) as Record<SplitName, IngestedSplit>;
}

function spanOf(split: SplitName, at: Boundaries): string {
  const instant = (epochMs: number): string => new Date(epochMs).toISOString();
  switch (split) {
    case 'train':
      return `${at.fromMs === null ? 'the first row' : instant(at.fromMs)} to ${instant(at.validationFromMs)}`;
    case 'validation':
      return `${instant(at.validationFromMs)} to ${instant(at.holdoutFromMs)}`;
    case 'holdout':
      return `${at.holdoutFromMs === at.validationFromMs ? 'all rows up' : instant(at.holdoutFromMs)} to ${instant(at.asOfMs)}`;
  }
}

/** One Parquet file for a split: the declared columns, by event time, then id. */
export async function writeSplit(
  db: DuckDb,
  columns: readonly ReadColumn[],
  spec: ModelSpec,
  split: SplitName,
  path: string,
): Promise<void> {
  await db.run(`COPY (SELECT ${columns.map((column) => quoteName(column.name)).join(', ')} FROM snapshot WHERE "0_split" = ${quoteText(split)}
    ORDER BY ${quoteName(spec.data.eventTime)}, ${quoteName(spec.data.id)}) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`);
}

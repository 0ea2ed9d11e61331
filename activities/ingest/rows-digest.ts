import { createHash } from 'node:crypto';
import { canonicalJson } from '../../workflows/domain/digest';
import type { ModelSpec } from '../../workflows/domain/spec';
import { quoteName, type DuckDb } from '../../infra/data/duckdb';
import type { ReadColumn } from './columns';

/**
 * Hex SHA-256 of the snapshot's canonical rows and columns: each row's values as text, hashed; the hashes of a split's day, in the order of
 * event time and id, hashed; and the list of days with the columns, hashed. A tree, so that no text of all rows is ever made. Equal for equal rows whatever
 * the source's format, order or row groups were.
 */
export async function digestRows(db: DuckDb, columns: readonly ReadColumn[], spec: ModelSpec): Promise<string> {
  const event = quoteName(spec.data.eventTime);
  const id = quoteName(spec.data.id);
  const row = `sha256(concat(${columns.map(canonicalText).join(', ')}))`;
  const days = await db.rows<{ split: string; day: string; rows: number; hash: string }>(
    `SELECT split, day::VARCHAR AS day, count(*) AS rows, sha256(string_agg(hash, '' ORDER BY event, id)) AS hash FROM (
       SELECT "0_split" AS split, ${event}::DATE AS day, ${event} AS event, ${id} AS id, ${row} AS hash FROM snapshot
       WHERE "0_split" IN ('train', 'validation', 'holdout')) GROUP BY 1, 2 ORDER BY 1, 2`,
  );
  const document = {
    schema: 'slipway.snapshot-rows/1',
    columns: columns.map(({ name, type, unit }) => ({ name, type, unit })),
    days: days.map(({ split, day, rows, hash }) => [split, day, Number(rows), hash]),
  };
  return createHash('sha256').update(canonicalJson(document)).digest('hex');
}

/** Length before text, as in netstrings, so that no two rows have the same concatenation; `-` is missing. */
function canonicalText(column: ReadColumn): string {
  const name = quoteName(column.name);
  const text = column.sqlType === 'TIMESTAMP' ? `epoch_us(${name})::VARCHAR` : `${name}::VARCHAR`;
  return `coalesce(strlen(${text}) || ':' || ${text}, '-')`;
}

import type { LabelRow } from '../infra/labels/labels';
import { SlipwayError } from '../workflows/domain/errors';
import { inFile, readColumns } from './data-files';

type Raw = Readonly<Record<'request_id' | 'label' | 'event_time' | 'known_at', string | number | null>>;

const SELECTED = {
  request_id: 'CAST(request_id AS VARCHAR)',
  label: 'CAST(label AS DOUBLE)',
  event_time: 'CAST(epoch_ms(CAST(event_time AS TIMESTAMP)) AS DOUBLE)',
  known_at: 'CAST(epoch_ms(CAST(known_at AS TIMESTAMP)) AS DOUBLE)',
} as const;

/**
 * Labels of a CSV or Parquet file with the columns request_id, label, event_time, known_at (timestamps in UTC). Throws NOT_FOUND,
 * DATA_UNREADABLE, DATA_SCHEMA, or DATA_LABEL that names the first bad row.
 */
export async function readLabelFile(path: string): Promise<LabelRow[]> {
  const columns = new Set((await readColumns(path)).map(({ name }) => name));
  const missing = Object.keys(SELECTED).filter((name) => !columns.has(name));
  if (missing.length > 0)
    throw new SlipwayError(
      'DATA_SCHEMA',
      `${path} lacks ${missing.join(', ')}; a label file has the columns ${Object.keys(SELECTED).join(', ')}`,
    );
  const selected = Object.entries(SELECTED).map(([name, sql]) => `${sql} AS ${name}`);
  const rows = await inFile(path, (db, source) => db.rows<Raw>(`SELECT ${selected.join(', ')} FROM ${source}`));
  return rows.map(toLabel);
}

function toLabel(row: Raw, at: number): LabelRow {
  const { request_id: requestId, label, event_time: eventTimeMs, known_at: knownAtMs } = row;
  if (
    typeof requestId !== 'string' ||
    typeof label !== 'number' ||
    typeof eventTimeMs !== 'number' ||
    typeof knownAtMs !== 'number'
  ) {
    throw new SlipwayError('DATA_LABEL', `row ${at + 1} of the labels lacks a value: ${JSON.stringify(row)}`);
  }
  return { requestId, label, eventTimeMs, knownAtMs };
}

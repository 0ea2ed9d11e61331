import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { quoteText, withDuckDb } from '../infra/data/duckdb';
import type { LabelRow } from '../infra/labels/labels';
import { SlipwayError } from '../workflows/domain/errors';

type Raw = Readonly<Record<'request_id' | 'label' | 'event_time' | 'known_at', string | number | null>>;

const COLUMNS = 'request_id, label, event_time, known_at';

/**
 * Labels of a CSV or Parquet file with the columns request_id, label, event_time, known_at (timestamps in UTC). Throws NOT_FOUND,
 * DATA_UNREADABLE, or DATA_LABEL that names the first bad row.
 */
export async function readLabelFile(path: string): Promise<LabelRow[]> {
  const file = resolve(path);
  await stat(file).catch((error: unknown) => {
    throw new SlipwayError('NOT_FOUND', `${path} cannot be read`, { cause: error });
  });
  const folder = await mkdtemp(join(tmpdir(), 'slipway-label-file-'));
  try {
    const rows = await withDuckDb({ threads: 1, memoryMb: 512, folder, files: [file] }, (db) =>
      db.rows<Raw>(query(file)),
    );
    return rows.map(toLabel);
  } catch (error) {
    if (error instanceof SlipwayError) throw error;
    throw new SlipwayError(
      'DATA_UNREADABLE',
      `${path} needs the columns ${COLUMNS}: ${(error as Error).message.split('\n')[0]}`,
      { cause: error },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function query(file: string): string {
  const source = file.endsWith('.parquet')
    ? `read_parquet(${quoteText(file)})`
    : `read_csv(${quoteText(file)}, header = true)`;
  return `SELECT CAST(request_id AS VARCHAR) AS request_id, CAST(label AS DOUBLE) AS label,
    CAST(epoch_ms(CAST(event_time AS TIMESTAMP)) AS DOUBLE) AS event_time, CAST(epoch_ms(CAST(known_at AS TIMESTAMP)) AS DOUBLE) AS known_at
    FROM ${source}`;
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

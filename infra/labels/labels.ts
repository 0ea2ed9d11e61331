import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import { SlipwayError } from '../../workflows/domain/errors';
import { quoteText, withDuckDb, type DuckDb } from '../data/duckdb';
import { digestOfJson } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';
import { LABEL_COLUMNS } from '../predictions/schema';

/** What became known about one request. */
export interface LabelRow {
  readonly requestId: string;
  /** 0 or 1 for a binary task; the value for regression. */
  readonly label: number;
  /** Event time of the request, epoch ms. */
  readonly eventTimeMs: number;
  /** Instant at which the label became known, epoch ms; the newest of a request counts. */
  readonly knownAtMs: number;
}

export interface RecordedLabels {
  readonly rows: number;
  readonly parts: number;
  /** Parts that were not there before: 0 where the same batch was recorded already. */
  readonly newParts: number;
}

/** A batch makes an object for each of its event days. One of more days than this is rather one of wrong instants. */
export const MAX_EVENT_DAYS = 400;
/** What a key has room for: years 1 to 9999. */
const FIRST_MS = Date.parse('0001-01-01T00:00:00Z');
const END_MS = Date.UTC(10_000, 0);

/**
 * Writes labels as Parquet, one part for each event day, named by its rows: the same batch twice is one part. Throws DATA_LABEL, before
 * anything is written, where a row is not a label or the batch has more than MAX_EVENT_DAYS event days, and the store's errors.
 */
export async function recordLabels(
  store: ObjectStore,
  model: ModelName,
  rows: readonly LabelRow[],
): Promise<RecordedLabels> {
  rows.forEach(checkRow);
  const days = [...groupByDay(rows)].sort(([a], [b]) => (a < b ? -1 : 1));
  if (days.length === 0) return { rows: 0, parts: 0, newParts: 0 };
  if (days.length > MAX_EVENT_DAYS)
    throw new SlipwayError(
      'DATA_LABEL',
      `the labels are of ${days.length} event days, from ${days[0]![0]} to ${days.at(-1)![0]}; a batch has ${MAX_EVENT_DAYS} at most: ` +
        'send them sorted by event time, in several batches, or correct the event times',
    );
  const folder = await mkdtemp(join(tmpdir(), 'slipway-labels-'));
  try {
    return await withDuckDb({ threads: 1, memoryMb: 256, folder, files: [] }, async (db) => {
      let newParts = 0;
      for (const [day, ofDay] of days) {
        const sorted = [...ofDay].sort(compareRows);
        const part = digestOfJson(sorted).slice('sha256:'.length, 'sha256:'.length + 32);
        if (await store.create(keys.labelPart(model, day, part), await parquetOf(db, sorted, folder))) newParts += 1;
      }
      return { rows: rows.length, parts: days.length, newParts };
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Names the field and not its value: a label is somebody's data. */
function checkRow(row: LabelRow, at: number): void {
  const isInstant = (epochMs: number): boolean => epochMs >= FIRST_MS && epochMs < END_MS;
  const wrong = [
    ...(row.requestId === '' ? ['request id'] : []),
    ...(Number.isFinite(row.label) ? [] : ['label']),
    ...(isInstant(row.eventTimeMs) ? [] : ['event time']),
    ...(isInstant(row.knownAtMs) ? [] : ['known-at time']),
  ];
  if (wrong.length > 0)
    throw new SlipwayError('DATA_LABEL', `row ${at + 1} of the labels has no valid ${wrong.join(', no valid ')}`);
}

function groupByDay(rows: readonly LabelRow[]): Map<string, LabelRow[]> {
  const days = new Map<string, LabelRow[]>();
  for (const row of rows) {
    const day = new Date(row.eventTimeMs).toISOString().slice(0, 10);
    const ofDay = days.get(day);
    if (ofDay) ofDay.push(row);
    else days.set(day, [row]);
  }
  return days;
}

function compareRows(a: LabelRow, b: LabelRow): number {
  if (a.requestId !== b.requestId) return a.requestId < b.requestId ? -1 : 1;
  return a.knownAtMs - b.knownAtMs || a.label - b.label;
}

async function parquetOf(db: DuckDb, rows: readonly LabelRow[], folder: string): Promise<Uint8Array> {
  const source = join(folder, 'rows.json');
  const target = join(folder, 'rows.parquet');
  const lines = rows.map((row) =>
    JSON.stringify({ request_id: row.requestId, label: row.label, event_ms: row.eventTimeMs, known_ms: row.knownAtMs }),
  );
  await writeFile(source, lines.join('\n'));
  await db.run(`COPY (
      SELECT request_id, label, epoch_ms(event_ms) AS event_time, epoch_ms(known_ms) AS known_at
      FROM read_json(${quoteText(source)}, format = 'newline_delimited',
        columns = {request_id: '${LABEL_COLUMNS.request_id}', label: '${LABEL_COLUMNS.label}', event_ms: 'BIGINT', known_ms: 'BIGINT'})
    ) TO ${quoteText(target)} (FORMAT parquet, COMPRESSION zstd)`);
  return readFile(target);
}

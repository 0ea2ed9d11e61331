import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quoteText, withDuckDb } from '../../infra/data/duckdb';
import type { ObjectStore } from '../../infra/object-store/port';
import { PREDICTION_COLUMNS } from '../../infra/predictions/schema';
import { keys } from '../../workflows/domain/keys';

/** A row of the prediction log, as a gateway writes it; what is left out has a plain default. */
export interface PredictionRow {
  readonly request_id: string;
  readonly event_ms: number;
  readonly score: number | null;
  readonly generation?: number;
  /** An arm, or the name of a shadow. */
  readonly arm?: string;
  readonly release?: number;
  readonly status?: string;
  /** 1 where it is left out. Undefined: a part of before there was such a column. */
  readonly sample?: number | undefined;
  readonly received_at?: number;
  readonly paired_release?: number | null;
  readonly paired_score?: number | null;
  readonly 'x.distance'?: number | null;
  readonly 'x.origin'?: string | null;
}

/** Writes one Parquet part of the prediction log into the day of its first row. */
export async function writePredictions(
  store: ObjectStore,
  model: string,
  part: string,
  rows: readonly PredictionRow[],
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-predictions-'));
  try {
    const source = join(folder, 'rows.json');
    const target = join(folder, 'rows.parquet');
    await writeFile(source, rows.map((row) => JSON.stringify(withDefaults(row))).join('\n'));
    const isOld = rows.every((row) => 'sample' in row && row.sample === undefined);
    const columns = Object.entries({ ...PREDICTION_COLUMNS, 'x.distance': 'DOUBLE', 'x.origin': 'VARCHAR' }).filter(
      ([name]) => !(isOld && name === 'sample'),
    );
    const types = columns.map(([name, type]) => `"${name}": '${type === 'TIMESTAMP' ? 'BIGINT' : type}'`);
    const selected = columns.map(([name, type]) =>
      type === 'TIMESTAMP' ? `epoch_ms("${name}") AS "${name}"` : `"${name}"`,
    );
    await withDuckDb({ threads: 1, memoryMb: 256, folder, files: [] }, (db) =>
      db.run(`COPY (SELECT ${selected.join(', ')} FROM read_json(${quoteText(source)}, format = 'newline_delimited',
        columns = {${types.join(', ')}})) TO ${quoteText(target)} (FORMAT parquet)`),
    );
    const day = new Date(rows[0]!.event_ms).toISOString().slice(0, 10);
    await store.create(keys.predictionPart(model, day, part), await readFile(target));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function withDefaults({ event_ms, ...row }: PredictionRow): Record<string, unknown> {
  const plain = {
    generation: 2,
    arm: 'champion',
    release: 1,
    assignment_key: row.request_id,
    status: 'ok',
    latency_us: 100,
    sample: 1,
    trace_id: null,
  };
  return { ...plain, paired_release: null, paired_score: null, event_time: event_ms, received_at: event_ms, ...row };
}

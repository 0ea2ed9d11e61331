import { mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { DuckDBConnection } from '@duckdb/node-api';
import { BOOLEAN, DOUBLE, DuckDBDataChunk, DuckDBInstance, VARCHAR } from '@duckdb/node-api';
import { keys } from '../../workflows/domain/keys';
import type { PredictionBatch, StagedColumn } from './prediction-batch';
import { EVENT_COLUMN } from './prediction-batch';

/** Writes batches to Parquet files below `outbox`, each under the key that it will have in the store. */
interface LogThreadData {
  readonly outbox: string;
  readonly incarnation: string;
}

export type LogThreadReply = { readonly sequence: number; readonly error: string | null };

const DAY_MS = 86_400_000;
const CHUNK_ROWS = 2_048;
const TYPES = { VARCHAR, DOUBLE, BOOLEAN };
const port = parentPort!;
const { outbox, incarnation } = workerData as LogThreadData;
let opened: Promise<DuckDBConnection> | null = null;

/** A database that met an error may refuse everything after it: the next batch gets a fresh one. */
async function writeOrReopen(batch: PredictionBatch): Promise<void> {
  opened ??= DuckDBInstance.create(':memory:', { threads: '1', memory_limit: '512MB' }).then((instance) =>
    instance.connect(),
  );
  const connecting = opened;
  try {
    await write(await connecting, batch);
  } catch (error) {
    opened = null;
    await connecting.then((connection) => connection.closeSync()).catch(() => undefined);
    throw error;
  }
}

async function write(connection: DuckDBConnection, batch: PredictionBatch): Promise<void> {
  const columns = batch.columns.map(({ name, staged }) => `${quoteName(name)} ${staged}`);
  await connection.run(`CREATE OR REPLACE TABLE staged (${columns.join(', ')})`);
  await append(connection, batch);
  const days = new Set(
    batch.columns.find(({ name }) => name === EVENT_COLUMN)!.values.map((ms) => Math.floor(Number(ms) / DAY_MS)),
  );
  for (const day of days) await writeDay(connection, batch, day);
  await connection.run('DROP TABLE staged');
}

async function append(connection: DuckDBConnection, batch: PredictionBatch): Promise<void> {
  const appender = await connection.createAppender('staged');
  for (let from = 0; from < batch.rows; from += CHUNK_ROWS) {
    const rows = Math.min(CHUNK_ROWS, batch.rows - from);
    const chunk = DuckDBDataChunk.create(
      batch.columns.map(({ staged }) => TYPES[staged]),
      rows,
    );
    chunk.setColumns(batch.columns.map(({ values }) => values.slice(from, from + rows)));
    appender.appendDataChunk(chunk);
  }
  appender.closeSync();
}

async function writeDay(connection: DuckDBConnection, batch: PredictionBatch, day: number): Promise<void> {
  const date = new Date(day * DAY_MS).toISOString().slice(0, 10);
  const path = join(outbox, keys.predictionPart(batch.model, date, `${incarnation}-${batch.sequence}`));
  mkdirSync(dirname(path), { recursive: true });
  const selected = batch.columns.map((column) => `${castTo(column)} AS ${quoteName(column.name)}`);
  const from = `FROM staged WHERE ${EVENT_COLUMN} >= ${day * DAY_MS} AND ${EVENT_COLUMN} < ${(day + 1) * DAY_MS}`;
  await connection.run(
    `COPY (SELECT ${selected.join(', ')} ${from}) TO '${`${path}.tmp`.replaceAll("'", "''")}' (FORMAT parquet)`,
  );
  renameSync(`${path}.tmp`, path);
}

function castTo({ name, staged, type }: StagedColumn): string {
  if (type === 'TIMESTAMP') return `make_timestamp((${quoteName(name)} * 1000)::BIGINT)`;
  return type === staged ? quoteName(name) : `${quoteName(name)}::${type}`;
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

let tail = Promise.resolve();
port.on('message', (batch: PredictionBatch) => {
  tail = tail.then(async () => {
    const error = await writeOrReopen(batch).then(
      () => null,
      (problem: unknown) => String(problem),
    );
    port.postMessage({ sequence: batch.sequence, error } satisfies LogThreadReply);
  });
});

import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { keys } from '../../../workflows/domain/keys';
import type { PredictionBatch } from './prediction-batch';
import { PartEncoder, recordsByDay } from './prediction-part';

/** Writes batches to Parquet files below `outbox`, each under the key that it will have in the store. */
interface LogThreadData {
  readonly outbox: string;
  readonly incarnation: string;
}

/** The batch's buffers come back with it. */
export interface LogThreadReply {
  readonly sequence: number;
  readonly error: string | null;
  readonly buffers: readonly ArrayBuffer[];
}

const DAY_MS = 86_400_000;
const port = parentPort!;
const { outbox, incarnation } = workerData as LogThreadData;
const encoder = new PartEncoder();

function write(batch: PredictionBatch): void {
  for (const [day, records] of recordsByDay(batch)) {
    const date = new Date(day * DAY_MS).toISOString().slice(0, 10);
    const path = join(outbox, keys.predictionPart(batch.model, date, `${incarnation}-${batch.sequence}`));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.tmp`, encoder.encode(batch, records));
    renameSync(`${path}.tmp`, path);
  }
}

function tryWrite(batch: PredictionBatch): string | null {
  try {
    write(batch);
    return null;
  } catch (problem) {
    return String(problem);
  }
}

port.on('message', (batch: PredictionBatch) => {
  const error = tryWrite(batch);
  const buffers = [batch.numbers, batch.text];
  port.postMessage({ sequence: batch.sequence, error, buffers } satisfies LogThreadReply, buffers);
});

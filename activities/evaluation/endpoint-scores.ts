import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withDuckDb } from '../../infra/data/duckdb';
import { readSnapshot, type SnapshotTable } from '../../infra/data/snapshot';
import type { Bindings } from '../../infra/endpoints/bindings';
import { type Values, valuesOfTable } from '../../infra/endpoints/columns';
import { factsOf } from '../../infra/endpoints/call-error';
import { type EndpointDescriptor, readEndpoint } from '../../infra/endpoints/descriptor';
import { EndpointClient } from '../../infra/endpoints/endpoint-client';
import { digestOf, digestOfJson } from '../../infra/object-store/digest';
import { tableOfSnapshot } from '../../infra/onnx/snapshot-table';
import type { ActivityScope } from '../../infra/process/activity-scope';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Signature } from '../../workflows/domain/release';
import type { ModelSpec } from '../../workflows/domain/spec';

/** A release whose model is a server that exists. */
export interface EndpointScorerJob {
  /** Its model file. */
  readonly descriptor: Uint8Array;
  readonly signature: Signature;
  /** Of the file of scores: whose they are, and of which split. */
  readonly name: string;
}

export interface ScoreEndpointInput {
  readonly bindings: Bindings;
  readonly scope: ActivityScope;
  readonly spec: ModelSpec;
  /** Parquet file that ingest wrote. */
  readonly split: string;
  readonly memoryMb: number;
  /** Where the scores go, FP32 in the rows' order. */
  readonly folder: string;
}

/** A server that is used by others should not notice a run. */
const CALLS_AT_ONCE = 4;
const TRIES = 3;
const AGAIN_AFTER_MS = 1_000;
/** Nobody waits for a single call here, and a holdout's chunks are larger than most requests. */
const LEAST_TIMEOUT_MS = 10_000;

/**
 * Scores a split over HTTP, in this process: the child that opens untrusted models gets neither network nor tokens. Gives the
 * path of the scores. Throws ENDPOINT_* and INPUT_INVALID.
 */
export async function scoreEndpoint(input: ScoreEndpointInput, job: EndpointScorerJob): Promise<string> {
  const { split, folder, memoryMb, spec } = input;
  const rows = await withDuckDb({ threads: 1, memoryMb, folder, files: [split] }, (db) =>
    readSnapshot(db, split, spec),
  );
  const scores = await scoreRows(input, job, rows);
  const path = join(folder, `${job.name}.f32`);
  await writeFile(path, Buffer.from(scores.buffer));
  return path;
}

async function scoreRows(
  { bindings, scope, split }: ScoreEndpointInput,
  job: EndpointScorerJob,
  rows: SnapshotTable,
): Promise<Float32Array> {
  const { inputs } = job.signature;
  const client = new EndpointClient(readEndpoint(job.descriptor), job.signature, bindings);
  const columns = valuesOfTable(tableOfSnapshot(rows, inputs), inputs);
  const scores = new Float32Array(rows.rows);
  // The same for the same rows of the same release, over all attempts of an activity.
  const key = digestOfJson([digestOf(job.descriptor), basename(split)]).slice('sha256:'.length, 'sha256:'.length + 32);
  let next = 0;
  const work = async (signal: AbortSignal): Promise<void> => {
    while (next < rows.rows && !signal.aborted) {
      const from = next;
      next = Math.min(rows.rows, from + client.descriptor.maxRows);
      scores.set(await scoreChunk(client, key, columns, from, next, signal), from);
      if (!signal.aborted) scope.heartbeat({ stage: 'asking the endpoint', rows: next });
    }
  };
  try {
    client.codec.check(columns, rows.rows);
    await allOrNone(Math.min(CALLS_AT_ONCE, client.maxInFlight), work, scope.signal);
    return scores;
  } finally {
    client.close();
  }
}

/** The first that fails ends the others, and is thrown once all have ended: nothing goes on behind an activity that is over. */
async function allOrNone(
  count: number,
  work: (signal: AbortSignal) => Promise<void>,
  outer: AbortSignal | undefined,
): Promise<void> {
  const failed = new AbortController();
  const signal = outer ? AbortSignal.any([outer, failed.signal]) : failed.signal;
  let first: Error | null = null as Error | null;
  const fail = (error: Error): void => {
    first ??= error;
    failed.abort();
  };
  await Promise.all(Array.from({ length: count }, () => work(signal).catch(fail)));
  if (first !== null) throw first;
  outer?.throwIfAborted();
}

/**
 * A server that is busy for a moment must not cost the whole split once more. One that does not say that twice is as good as once is
 * asked again only where it did nothing.
 */
async function scoreChunk(
  client: EndpointClient,
  key: string,
  columns: readonly Values[],
  from: number,
  to: number,
  signal: AbortSignal,
): Promise<Float32Array> {
  const chunk = columns.map((column) => column.slice(from, to));
  const timeoutMs = Math.max(LEAST_TIMEOUT_MS, client.descriptor.timeoutMs);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await client.score(chunk, to - from, { purpose: 'holdout', timeoutMs, signal, key: `${key}-${from}` });
    } catch (error) {
      if (attempt === TRIES || !mayRetry(error, client.descriptor)) throw error;
      await sleep(Math.max(AGAIN_AFTER_MS, error.retryAfterMs ?? 0), undefined, { signal });
    }
  }
}

function mayRetry(error: unknown, { idempotent }: Pick<EndpointDescriptor, 'idempotent'>): error is SlipwayError {
  const isPassing = error instanceof SlipwayError && error.kind.retryable && error.code !== 'CANCELLED';
  return isPassing && (idempotent || factsOf(error).isUndone === true);
}

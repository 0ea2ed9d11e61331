import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withDuckDb } from '../../../infra/data/duckdb';
import { rowOfTable } from '../../../infra/onnx/feature-table';
import type { LabelledTable } from '../../../infra/onnx/fit-model';
import { createBlobStore } from '../../../infra/object-store/blobs';
import { digestOf } from '../../../infra/object-store/digest';
import type { BlobStore, ObjectStore } from '../../../infra/object-store/port';
import type {
  IngestResult,
  RunRequest,
  SnapshotManifest,
  SnapshotSplit,
  SplitName,
} from '../../../workflows/domain/run';
import type { ModelSpec, Task, TrainingSpec } from '../../../workflows/domain/spec';
import { createMemoryStore } from '../memory-store';
import { LOGISTIC, TOY_FEATURES, toyTable } from './toy-data';
import { DEFAULT_SERVING } from '../../../workflows/domain/serving';

const DAY_MS = 86_400_000;
export const MODEL = 'shop/basket';

export function toySpec(training: Partial<TrainingSpec> = {}, task: Task = 'binary'): ModelSpec {
  const day = DAY_MS;
  return {
    schema: 'slipway/model/v1',
    model: MODEL,
    description: 'toy',
    owner: 'tests',
    task,
    clock: 'wall',
    serving: DEFAULT_SERVING,
    data: {
      source: '/nowhere',
      format: 'parquet',
      id: 'id',
      eventTime: 'seen_at',
      from: null,
      lastMs: null,
      validationMs: day,
      holdoutMs: day,
      quarantineBudget: 0,
    },
    features: TOY_FEATURES,
    label: { column: 'label', knownAt: null, maturityMs: 0 },
    assignment: { source: 'request' },
    training: { queue: 'compute', seed: 7, timeoutMs: 60_000, memoryMb: 2_048, trainer: LOGISTIC, ...training },
    gates: [],
    approvals: { required: 0, withinMs: day },
    rollout: {
      bootstrap: 'direct',
      steps: [],
      bakeMs: 0,
      extensions: 0,
      errors: { margin: 0.01, alpha: 0.05, minKeys: 10 },
      disagreement: null,
      quality: null,
    },
    monitor: {
      everyMs: day,
      windowMs: day,
      drift: { alpha: 0.01, minEffect: 0.1, consecutive: 2 },
      calibration: { alpha: 0.01, maxGap: 0.05, consecutive: 2 },
      retrain: { enabled: false, cooldownMs: day },
    },
    retention: { predictionsMs: day },
  };
}

export interface ToyRun {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly request: RunRequest;
  readonly ingest: IngestResult;
  readonly spec: ModelSpec;
  readonly holdout: LabelledTable;
}

/** A run whose ingest is done: three splits in a store, and the request to train on them. */
export async function toyRun(
  folder: string,
  spec: ModelSpec,
  options: { rows?: number; store?: ObjectStore; holdout?: LabelledTable; validationRows?: number } = {},
): Promise<ToyRun> {
  const store = options.store ?? createMemoryStore();
  const blobs = createBlobStore(store, join(folder, 'cache'));
  const rows = options.rows ?? 1_500;
  const holdout = options.holdout ?? toyTable(1_200, 3, spec.task);
  const tables: Record<SplitName, LabelledTable> = {
    train: toyTable(rows, 1, spec.task),
    validation: toyTable(options.validationRows ?? 500, 2, spec.task),
    holdout,
  };
  const splits = {} as Record<SplitName, SnapshotSplit>;
  for (const name of ['train', 'validation', 'holdout'] as const) {
    splits[name] = {
      blob: await blobs.putFile(await writeParquet(folder, name, tables[name])),
      rows: tables[name].table.rows,
      from: null,
      to: null,
    };
  }
  const snapshot = digestOf(Buffer.from(JSON.stringify(splits)));
  const manifest: SnapshotManifest = {
    schema: 'slipway.snapshot/1',
    digest: snapshot,
    model: MODEL,
    asOf: '2001-03-01T00:00:00Z',
    splits,
    quarantine: { rows: 0, blob: null, reasons: {} },
    leftOut: {},
    profile: snapshot,
  };
  const request: RunRequest = {
    schema: 'slipway.run/1',
    workspace: 'dev',
    model: MODEL,
    run: 'r-0123456789-1',
    attempt: 1,
    cause: 'manual',
    commit: 'c0ffee',
    spec: await blobs.putJson(spec),
    asOf: manifest.asOf,
    imported: null,
    from: null,
    evidence: null,
    requestedAt: '2001-03-01T00:00:00Z',
  };
  const ingest = {
    manifest: await blobs.putJson(manifest),
    snapshot,
    rows: { train: rows, validation: 500, holdout: holdout.table.rows, quarantined: 0 },
  };
  return { store, blobs, request, ingest, spec, holdout };
}

/** Rows are seen one a minute, so that 1,440 of them are a day. */
async function writeParquet(folder: string, name: string, { table, labels }: LabelledTable): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const csv = join(folder, `${name}.csv`);
  const path = join(folder, `${name}.parquet`);
  const lines = Array.from({ length: table.rows }, (_, row) => {
    const { amount, count, city, member, at } = rowOfTable(table, row);
    const instant = typeof at === 'number' ? new Date(at).toISOString().replace('T', ' ').replace('Z', '') : '';
    const seenAt = new Date(Date.UTC(2001, 2, 1) + row * 60_000).toISOString().replace('T', ' ').replace('Z', '');
    return [`${name}-${row}`, seenAt, labels[row], amount ?? '', count ?? '', city ?? '', member, instant].join(',');
  });
  writeFileSync(csv, `id,seen_at,label,amount,count,city,member,at\n${lines.join('\n')}\n`);
  const types =
    "{'id': 'VARCHAR', 'seen_at': 'TIMESTAMP', 'label': 'DOUBLE', 'amount': 'DOUBLE', 'count': 'BIGINT', 'city': 'VARCHAR', 'member': 'BOOLEAN', 'at': 'TIMESTAMP'}";
  await withDuckDb({ threads: 1, memoryMb: 500, folder, files: [] }, (db) =>
    db.run(`COPY (SELECT * FROM read_csv('${csv}', header = true, columns = ${types})) TO '${path}' (FORMAT parquet)`),
  );
  return path;
}

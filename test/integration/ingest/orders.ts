import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createIngestActivities } from '../../../activities/ingest/create-ingest-activities';
import type { IngestReport } from '../../../activities/ingest/job';
import { runIngestJob } from '../../../activities/ingest/run-job';
import { quoteText, withDuckDb, type DuckDb, type Row } from '../../../infra/data/duckdb';
import { createBlobStore } from '../../../infra/object-store/blobs';
import { createFsStore } from '../../../infra/object-store/fs-store';
import type { BlobStore, ObjectStore } from '../../../infra/object-store/port';
import { parseSpec } from '../../../infra/spec/parse';
import type { Profile } from '../../../workflows/domain/profile';
import type { IngestResult, RunRequest, SnapshotManifest } from '../../../workflows/domain/run';

export const AS_OF = '2024-03-01T00:00:00.000Z';

/**
 * SQL of 2,400 good orders, one every 36 minutes over the 60 days before the as-of (four are after it), with labels known a day later: train until
 * 16 February, validation to 23 February, holdout to 1 March.
 */
export const ORDERS = `SELECT 'o' || lpad(i::VARCHAR, 5, '0') AS "order", TIMESTAMP '2024-01-01 00:00:00' + to_minutes(i * 36) AS placed,
  round(10 + (i * 37 % 1000) / 7, 2)::DOUBLE AS price, (i % 5)::INTEGER AS items, ['DE', 'FR', 'ES'][1 + i % 3] AS country,
  i % 4 = 0 AS gift, TIMESTAMP '2024-01-01 02:00:00' + to_minutes(i * 36) AS local, (i % 7 < 2)::INTEGER AS returned,
  TIMESTAMP '2024-01-02 00:00:00' + to_minutes(i * 36) AS known FROM range(2400) t(i)`;

export const specText = (source: string, changes: Readonly<Record<string, string>> = {}): string =>
  Object.entries(changes).reduce(
    (text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`the spec has no ${from}`);
      return text.replace(from, to);
    },
    `model: shop/returns
task: binary
data: { source: ${JSON.stringify(source)}, id: order, eventTime: placed, validation: 7d, holdout: 7d, quarantineBudget: 1% }
features:
  - { name: price, type: number, unit: EUR, range: [0, 1000] }
  - { name: items, type: integer, range: [0, 10] }
  - { name: country, type: category, values: [DE, FR, ES] }
  - { name: gift, type: boolean }
  - { name: local, type: timestamp, parts: [hour] }
label: { column: returned, knownAt: known, maturity: 2d }
`,
  );

export interface Bench {
  readonly folder: string;
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  /** Runs SQL where files of the folder can be read and written. */
  sql(statement: string): Promise<void>;
  rows<T extends Row>(statement: string): Promise<T[]>;
  request(spec: string, change?: Partial<RunRequest>): Promise<RunRequest>;
  /** In this process, where the child and the store are not the subject. */
  read(spec: string): Promise<IngestReport>;
  ingest(
    spec: string,
    change?: Partial<RunRequest>,
  ): Promise<{ result: IngestResult; manifest: SnapshotManifest; profile: Profile }>;
}

export async function openBench(folder: string): Promise<Bench> {
  await mkdir(folder, { recursive: true });
  const store = createFsStore(join(folder, 'store'));
  const blobs = createBlobStore(store, join(folder, 'cache'));
  const activities = createIngestActivities({ store, blobs, workFolder: join(folder, 'work') });
  const inDuckDb = <T>(work: (db: DuckDb) => Promise<T>): Promise<T> =>
    withDuckDb({ threads: 1, memoryMb: 512, folder, files: [] }, work);
  const request: Bench['request'] = async (spec, change = {}) => ({
    schema: 'slipway.run/1',
    workspace: 'dev',
    model: 'shop/returns',
    run: 'r-0000000001-1',
    attempt: 1,
    cause: 'manual',
    commit: '',
    spec: await blobs.putJson(parseSpec(spec, { file: join(folder, 'model.yaml') })),
    asOf: AS_OF,
    imported: null,
    from: null,
    evidence: null,
    requestedAt: AS_OF,
    ...change,
  });
  return {
    folder,
    store,
    blobs,
    request,
    sql: (statement) => inDuckDb((db) => db.run(statement)),
    rows: (statement) => inDuckDb((db) => db.rows(statement)),
    read: (spec) => {
      const job = {
        spec: parseSpec(spec, { file: join(folder, 'model.yaml') }),
        asOf: AS_OF,
        threads: 1,
        memoryMb: 512,
      };
      return runIngestJob(job, folder, () => undefined);
    },
    ingest: async (spec, change) => {
      const result = await activities.ingest({ request: await request(spec, change) });
      const manifest = await blobs.getJson<SnapshotManifest>(result.manifest);
      return { result, manifest, profile: await blobs.getJson<Profile>(manifest.profile) };
    },
  };
}

/** Writes a query's rows as `name`, by its ending. */
export async function writeRows(bench: Bench, query: string, name: string, options = ''): Promise<string> {
  const path = join(bench.folder, name);
  await bench.sql(
    `COPY (${query}) TO ${quoteText(path)} (FORMAT ${name.endsWith('.csv') ? 'csv, HEADER' : 'parquet'}${options})`,
  );
  return path;
}

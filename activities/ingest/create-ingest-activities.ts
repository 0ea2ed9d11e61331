import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import {
  STEPS,
  type IngestResult,
  type RunRequest,
  type SnapshotManifest,
  type SnapshotSplit,
  type SplitName,
} from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { LifecycleComputeActivities } from '../../workflows/lifecycle.activities';
import { canonicalBytes, digestOfJson } from '../../infra/object-store/digest';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { type ActivityScope, withHeartbeat } from '../../infra/process/activity-scope';
import { nodeEntry, runChild } from '../../infra/process/supervised-child';
import {
  JOB_FILE,
  QUARANTINE_FILE,
  REPORT_FILE,
  splitFile,
  type IngestedSnapshot,
  type IngestJob,
  type IngestReport,
  type Quarantined,
} from './job';
import { SPLITS } from './splits';

export interface IngestPorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  /** Folder for work in progress; each attempt has its own below it, removed after. Default: the system's temporary folder. */
  readonly workFolder?: string;
  readonly limits?: IngestLimits;
}

export interface IngestLimits {
  /** Resident memory of the child; DuckDB gets two thirds of it and spills beyond that. */
  readonly memoryMb: number;
  readonly timeoutMs: number;
  readonly threads: number;
}

const DEFAULT_LIMITS: IngestLimits = { memoryMb: 3_072, timeoutMs: 1_800_000, threads: 2 };
const OUTPUT_BYTES = 65_536;

/**
 * `ingest` throws SlipwayError DATA_UNREADABLE, DATA_SCHEMA, DATA_QUARANTINE (with the quarantine's blob), DATA_EMPTY_SPLIT, DATA_LABEL, DATA_LIMIT. Its
 * result is kept under the run, so that a retry returns it, whatever became of the source since.
 */
export function createIngestActivities(ports: IngestPorts): Pick<LifecycleComputeActivities, 'ingest'> {
  return {
    ingest: ({ request }) => withHeartbeat((scope) => ingest(ports, request, scope)),
  };
}

async function ingest(ports: IngestPorts, request: RunRequest, scope: ActivityScope): Promise<IngestResult> {
  const kept = await findKept(ports.store, request);
  if (kept) return keep(ports.store, request, kept); // Under this run as well: the next attempt looks here.
  const holdout = request.imported?.holdout;
  const declared = await ports.blobs.getJson<ModelSpec>(request.spec);
  const spec = holdout ? { ...declared, data: { ...declared.data, ...holdout } } : declared;
  const folder = await makeFolder(ports.workFolder ?? tmpdir());
  try {
    const report = await runJob(
      folder,
      { spec, asOf: request.asOf, holdoutOnly: holdout !== undefined },
      ports.limits ?? DEFAULT_LIMITS,
      scope,
    );
    return await keep(ports.store, request, await publish(ports.blobs, request, folder, report));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Names what the result depends on besides the source itself, which an as-of date stands for. */
export function ingestCacheKey({ spec, asOf, imported }: Pick<RunRequest, 'spec' | 'asOf' | 'imported'>): string {
  const holdout = imported?.holdout ? { holdout: imported.holdout } : {};
  return digestOfJson({ step: 'ingest', version: 1, spec, asOf, ...holdout }).slice(
    'sha256:'.length,
    'sha256:'.length + 16,
  );
}

/** Of this run, or of the earlier attempt it takes over from where that one got past ingest. */
async function findKept(store: ObjectStore, request: RunRequest): Promise<IngestResult | null> {
  const takenOver =
    request.from !== null && STEPS.indexOf(request.from.step) > STEPS.indexOf('ingest') ? [request.from.run] : [];
  for (const run of [request.run, ...takenOver]) {
    const bytes = await store.get(keys.runStep(request.model, run, 'ingest', ingestCacheKey(request)));
    if (bytes) return JSON.parse(Buffer.from(bytes).toString('utf8')) as IngestResult;
  }
  return null;
}

/** The first writer's result counts; a zombie attempt returns it as well. */
async function keep(store: ObjectStore, request: RunRequest, result: IngestResult): Promise<IngestResult> {
  const created = await store.create(
    keys.runStep(request.model, request.run, 'ingest', ingestCacheKey(request)),
    canonicalBytes(result),
  );
  return created ? result : ((await findKept(store, request)) ?? result);
}

async function makeFolder(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  return mkdtemp(join(parent, 'ingest-'));
}

async function runJob(
  folder: string,
  what: Pick<IngestJob, 'spec' | 'asOf' | 'holdoutOnly'>,
  limits: IngestLimits,
  scope: ActivityScope,
): Promise<IngestReport> {
  const job: IngestJob = { ...what, threads: limits.threads, memoryMb: Math.floor((limits.memoryMb * 2) / 3) };
  await writeFile(join(folder, JOB_FILE), JSON.stringify(job));
  scope.heartbeat({ stage: 'opening' });
  const outcome = await runChild({
    argv: [...nodeEntry(join(__dirname, `ingest-entry${__filename.endsWith('.ts') ? '.ts' : '.js'}`)), folder],
    limits: { memoryMb: limits.memoryMb, timeoutMs: limits.timeoutMs, outputBytes: OUTPUT_BYTES },
    onProgress: scope.heartbeat,
    ...(scope.signal ? { signal: scope.signal } : {}),
  });
  if (outcome.limit !== null)
    throw new SlipwayError('DATA_LIMIT', `${what.spec.data.source}: reading ended at its ${outcome.limit} limit`);
  if (outcome.exitCode === 0) return JSON.parse(await readFile(join(folder, REPORT_FILE), 'utf8')) as IngestReport;
  if (outcome.signal !== null)
    throw new SlipwayError('DATA_UNREADABLE', `${what.spec.data.source}: the reader was ended by ${outcome.signal}`);
  throw new Error(`ingest ended with exit code ${outcome.exitCode}: ${outcome.stderr.slice(-2_000)}`);
}

async function publish(
  blobs: BlobStore,
  request: RunRequest,
  folder: string,
  report: IngestReport,
): Promise<IngestResult> {
  const quarantineFile = join(folder, QUARANTINE_FILE);
  const quarantined =
    report.quarantine.rows > 0 && (await exists(quarantineFile)) ? await blobs.putFile(quarantineFile) : null;
  if (!report.ok)
    throw new SlipwayError(
      report.code,
      quarantined ? `${report.message}. The bad rows with their reasons are blob ${quarantined}` : report.message,
    );
  const splits = {} as Record<SplitName, SnapshotSplit>;
  for (const split of SPLITS)
    splits[split] = { blob: await blobs.putFile(join(folder, splitFile(split))), ...report.snapshot.splits[split] };
  const manifest = manifestOf(
    request,
    report.snapshot,
    splits,
    { ...report.quarantine, blob: quarantined },
    await blobs.putJson(report.snapshot.profile),
  );
  return {
    manifest: await blobs.putJson(manifest),
    snapshot: manifest.digest,
    rows: {
      train: splits.train.rows,
      validation: splits.validation.rows,
      holdout: splits.holdout.rows,
      quarantined: report.quarantine.rows,
    },
  };
}

function manifestOf(
  request: RunRequest,
  snapshot: IngestedSnapshot,
  splits: SnapshotManifest['splits'],
  quarantine: Quarantined & { readonly blob: Digest | null },
  profile: Digest,
): SnapshotManifest {
  return {
    schema: 'slipway.snapshot/1',
    digest: `sha256:${snapshot.rowsDigest}`,
    model: request.model,
    asOf: request.asOf,
    splits,
    quarantine,
    leftOut: snapshot.leftOut,
    profile,
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

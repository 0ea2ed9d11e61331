import { access } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import type { IngestResult, RunRequest, SnapshotManifest, SnapshotSplit, SplitName } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { LifecycleComputeActivities } from '../../workflows/lifecycle.activities';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { type ActivityScope, withHeartbeat } from '../../infra/process/activity-scope';
import { withAttemptFolder } from '../../infra/process/attempt-folder';
import { ChildEndedError, describeEnd } from '../../infra/process/child-end';
import { runJobChild } from '../../infra/process/job-child';
import { findStepResult, keepStepResult, stepCacheKey } from '../../infra/runs/step-results';
import {
  QUARANTINE_FILE,
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
  const cacheKey = ingestCacheKey(request);
  const kept = await findStepResult<IngestResult>(ports.store, request, 'ingest', cacheKey);
  if (kept) return kept;
  const holdout = request.imported?.holdout;
  const declared = await ports.blobs.getJson<ModelSpec>(request.spec);
  const spec = holdout ? { ...declared, data: { ...declared.data, ...holdout } } : declared;
  const result = await withAttemptFolder(ports.workFolder ?? tmpdir(), 'ingest', async (folder) => {
    const report = await readSource(ports, folder, scope, {
      spec,
      asOf: request.asOf,
      holdoutOnly: holdout !== undefined,
    });
    return publish(ports.blobs, request, folder, report);
  });
  return keepStepResult(ports.store, request, 'ingest', cacheKey, result);
}

/** Names what the result depends on besides the source itself, which an as-of date stands for. */
export function ingestCacheKey({ spec, asOf, imported }: Pick<RunRequest, 'spec' | 'asOf' | 'imported'>): string {
  const holdout = imported?.holdout ? { holdout: imported.holdout } : {};
  return stepCacheKey({ step: 'ingest', version: 1, spec, asOf, ...holdout });
}

async function readSource(
  ports: IngestPorts,
  folder: string,
  scope: ActivityScope,
  what: Pick<IngestJob, 'spec' | 'asOf' | 'holdoutOnly'>,
): Promise<IngestReport> {
  const limits = ports.limits ?? DEFAULT_LIMITS;
  const job: IngestJob = { ...what, threads: limits.threads, memoryMb: Math.floor((limits.memoryMb * 2) / 3) };
  scope.heartbeat({ stage: 'opening' });
  const answer = await runJobChild<IngestJob, IngestReport>({
    entry: join(__dirname, 'ingest-entry'),
    folder,
    job,
    limits,
    scope,
  });
  if (answer.ok) return answer.report;
  const { source } = what.spec.data;
  const ended = `${source}: the reader ${await describeEnd(ports.blobs, answer.outcome)}`;
  if (answer.outcome.limit !== null) throw new SlipwayError('DATA_LIMIT', ended);
  if (answer.outcome.signal !== null) throw new SlipwayError('DATA_UNREADABLE', ended);
  throw new ChildEndedError(ended);
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

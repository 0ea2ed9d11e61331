import { readFile } from 'node:fs/promises';
import type { BlobStore } from '../../../infra/object-store/port';
import type { ReleaseRegistry } from '../../../infra/releases/port';
import { compromisedKeyOf } from '../../../infra/signing/compromised-key';
import type { Trust, WorkspacePolicy } from '../../../infra/signing/port';
import type { Digest } from '../../../workflows/domain/digest';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { ModelName } from '../../../workflows/domain/names';
import type { ReleaseManifest, ReleaseRef, SampleRows } from '../../../workflows/domain/release';
import type { OpenEndpoints } from '../endpoints/open-endpoints';
import type { Executor } from '../execution/executor';
import { ExecutorScorer, type Scorer } from '../execution/scorer';
import { InputPlan } from '../inference/input-plan';
import { sampleColumns } from '../inference/sample-columns';
import type { Inspections } from './inspections';
import type { RequestLimits } from '../inference/protocol';
import type { LoadedRelease } from './served-model';

export interface ReleaseCacheOptions {
  readonly registry: Pick<ReleaseRegistry, 'verify'>;
  /** Its folder is this gateway's own: what was verified once can be opened again without the store. */
  readonly blobs: Pick<BlobStore, 'file'>;
  readonly trust: Pick<Trust, 'policy'>;
  readonly inspections: Pick<Inspections, 'check'>;
  readonly executor: Executor;
  /** Of releases whose model is a server that exists. */
  readonly endpoints: Pick<OpenEndpoints, 'open'>;
  readonly limits: RequestLimits;
  /** Bytes that the open releases may take together. Absent: any. */
  readonly memoryBytes?: number;
  /** Of the executor: each opens a session of its own. */
  readonly threads?: number;
  readonly nowMs?: () => number;
}

/** Releases that must stay open, and those that leave after a minute unless memory is needed before. */
export interface ReleasesInUse {
  /** Served, or part of a route that is being opened. */
  readonly served: ReadonlySet<Digest>;
  /** Previous champions. Open for an instant rollback as long as there is room. */
  readonly warm: ReadonlySet<Digest>;
}

/** Outputs on this machine may differ from the recorded ones by rounding only. */
const SAMPLE_TOLERANCE = 1e-5;
/** Requests that were given a release have long been answered by then. */
const UNLOAD_AFTER_MS = 60_000;
/** Where memory is short: as long as a request may take. A model that does not fit until then is tried again at each poll. */
const KEEP_FOR_MS = 35_000;

interface Entry {
  readonly ref: ReleaseRef;
  loading: Promise<LoadedRelease>;
  /** Estimate, in all threads together; 0 until it was admitted. */
  memoryBytes: number;
  /** When it was last part of what is served or being opened. */
  lastUsedMs: number;
  /** Null for what was reopened from disk. */
  verifiedUnder: WorkspacePolicy | null;
  isOpen: boolean;
}

/** Releases that are open here, by digest. Nothing gets in that was not verified and did not pass its own samples (I2). */
export class ReleaseCache {
  private readonly loaded = new Map<Digest, Entry>();
  private readonly unusedSince = new Map<Digest, number>();
  private inUse: ReleasesInUse = { served: new Set(), warm: new Set() };
  private readonly nowMs: () => number;
  private readonly threads: number;

  constructor(private readonly options: ReleaseCacheOptions) {
    this.threads = options.threads ?? 1;
    this.nowMs = options.nowMs ?? (() => performance.now());
  }

  /**
   * A release that is open already is verified again when the policy is not the one it was verified under. Throws what
   * ReleaseRegistry.verify throws, MODEL_UNREADABLE, MODEL_SIGNATURE where signature or samples come out different, and
   * MODEL_TOO_LARGE where it does not fit beside what is served.
   */
  async load(ref: ReleaseRef): Promise<LoadedRelease> {
    const { policy } = this.options.trust;
    const known = this.loaded.get(ref.digest);
    if (!known)
      return this.once(ref, policy, async (entry) =>
        this.open(entry, await this.options.registry.verify(ref, 'serve')),
      );
    if (known.verifiedUnder !== policy) {
      await this.verify(ref);
      known.verifiedUnder = policy;
    }
    return known.loading;
  }

  /** A release that this gateway verified before it was started again: its files' digests are checked once more. */
  reopen(ref: ReleaseRef, manifest: ReleaseManifest): Promise<LoadedRelease> {
    return this.once(ref, null, (entry) => this.open(entry, manifest));
  }

  /** Closes them at once; the next `load` begins with verifying again. */
  forget(releases: readonly ReleaseRef[]): void {
    for (const { digest } of releases) this.drop(digest);
  }

  /** Estimated memory of the open releases, by model. */
  memoryByModel(): ReadonlyMap<ModelName, number> {
    const byModel = new Map<ModelName, number>();
    for (const { ref, memoryBytes } of this.loaded.values())
      byModel.set(ref.model, (byModel.get(ref.model) ?? 0) + memoryBytes);
    return byModel;
  }

  get size(): number {
    return this.loaded.size;
  }

  /** What may not be closed for its memory. */
  use(inUse: ReleasesInUse): void {
    this.inUse = inUse;
    for (const [digest, entry] of this.loaded) if (inUse.served.has(digest)) entry.lastUsedMs = this.nowMs();
  }

  /** Closes what has not been in use for a minute. */
  retain(inUse: ReleasesInUse): void {
    this.use(inUse);
    for (const [digest, { isOpen }] of this.loaded) {
      if (inUse.served.has(digest) || inUse.warm.has(digest) || !isOpen) this.unusedSince.delete(digest);
      else if (!this.unusedSince.has(digest)) this.unusedSince.set(digest, this.nowMs());
      else if (this.nowMs() - this.unusedSince.get(digest)! > UNLOAD_AFTER_MS) this.drop(digest);
    }
  }

  private async verify(ref: ReleaseRef): Promise<void> {
    try {
      await this.options.registry.verify(ref, 'serve');
    } catch (error) {
      if (compromisedKeyOf(error) !== null) this.drop(ref.digest);
      throw error;
    }
  }

  private drop(digest: Digest): void {
    const entry = this.loaded.get(digest);
    this.loaded.delete(digest);
    this.unusedSince.delete(digest);
    entry?.loading.then(({ scorer }) => scorer.close()).catch(() => undefined);
  }

  /** One opening at a time of the same release; a failed one is forgotten, so that the next poll tries again. */
  private once(
    ref: ReleaseRef,
    verifiedUnder: WorkspacePolicy | null,
    open: (entry: Entry) => Promise<LoadedRelease>,
  ): Promise<LoadedRelease> {
    const { digest } = ref;
    const known = this.loaded.get(digest);
    if (known) return known.loading;
    const entry = { ref, memoryBytes: 0, lastUsedMs: this.nowMs(), verifiedUnder, isOpen: false } as Entry;
    this.loaded.set(digest, entry);
    entry.loading = open(entry);
    entry.loading.then(
      () => (entry.isOpen = true),
      () => {
        if (this.loaded.get(digest) === entry) this.loaded.delete(digest);
      },
    );
    return entry.loading;
  }

  private async open(entry: Entry, manifest: ReleaseManifest): Promise<LoadedRelease> {
    const { blobs, executor, inspections } = this.options;
    const { ref } = entry;
    if (manifest.kind === 'endpoint') return this.openEndpoint(ref, manifest);
    // The file alone is a lower bound: what cannot fit is not fetched.
    this.checkFits(ref, manifest.onnxBytes * this.threads, 0);
    const samples = await this.samplesOf(manifest);
    const path = await blobs.file(manifest.onnx);
    const { memoryBytes } = await inspections.check(path, manifest.onnx, manifest.signature);
    this.admit(entry, memoryBytes * this.threads);
    const session = await executor.load(path, manifest.signature, manifest.serving.batch, ref.model);
    const scorer = new ExecutorScorer(executor, session);
    try {
      await probe(scorer, ref, manifest, samples);
    } catch (error) {
      scorer.close();
      throw error;
    }
    return { ref, manifest, plan: this.planOf(manifest), scorer, memoryBytes: entry.memoryBytes };
  }

  /** No file to inspect and no memory to make room for; a server that is away opens all the same. */
  private async openEndpoint(ref: ReleaseRef, manifest: ReleaseManifest): Promise<LoadedRelease> {
    const descriptor = await readFile(await this.options.blobs.file(manifest.onnx));
    const samples = await this.samplesOf(manifest);
    const opened = await this.options.endpoints.open({ ref, manifest, descriptor, samples });
    return { ref, manifest, plan: this.planOf(manifest), ...opened };
  }

  private async samplesOf({ samples }: ReleaseManifest): Promise<SampleRows> {
    return JSON.parse(await readFile(await this.options.blobs.file(samples), 'utf8')) as SampleRows;
  }

  private planOf({ signature }: ReleaseManifest): InputPlan {
    return new InputPlan(signature, this.options.limits);
  }

  /**
   * Makes room before a model is opened, so that the kernel never has to: what nobody used lately leaves first, then previous champions.
   * What is served stays. Throws MODEL_TOO_LARGE.
   */
  private admit(entry: Entry, memoryBytes: number): void {
    const limitBytes = this.options.memoryBytes ?? Infinity;
    const { served, warm } = this.inUse;
    const quietBeforeMs = this.nowMs() - KEEP_FOR_MS;
    const others = [...this.loaded].filter(([, other]) => other !== entry);
    const leaving = others
      .filter(([digest, { isOpen, lastUsedMs }]) => isOpen && !served.has(digest) && lastUsedMs < quietBeforeMs)
      .sort(([a, one], [b, two]) => Number(warm.has(a)) - Number(warm.has(b)) || one.lastUsedMs - two.lastUsedMs);
    const leavingBytes = sumBytes(leaving);
    this.checkFits(entry.ref, memoryBytes, sumBytes(others) - leavingBytes);
    for (const [digest] of leaving) {
      if (sumBytes([...this.loaded]) + memoryBytes <= limitBytes) break;
      this.drop(digest);
    }
    entry.memoryBytes = memoryBytes;
  }

  private checkFits(ref: ReleaseRef, memoryBytes: number, takenBytes: number): void {
    const limitBytes = this.options.memoryBytes ?? Infinity;
    if (takenBytes + memoryBytes <= limitBytes) return;
    throw new SlipwayError(
      'MODEL_TOO_LARGE',
      `version ${ref.version} of ${ref.model} needs about ${mebibytes(memoryBytes)} MiB; ${mebibytes(takenBytes)} of ${mebibytes(limitBytes)} MiB are in use`,
    );
  }
}

function sumBytes(entries: readonly (readonly [Digest, Entry])[]): number {
  return entries.reduce((sum, [, { memoryBytes }]) => sum + memoryBytes, 0);
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}

/** Self-test and warm-up in one: the samples must come out as they were recorded. */
async function probe(
  scorer: Pick<Scorer, 'score'>,
  ref: ReleaseRef,
  manifest: ReleaseManifest,
  { rows, outputs }: SampleRows,
): Promise<void> {
  if (rows.length === 0) return;
  const scores = await scorer.score(sampleColumns(manifest, rows), rows.length);
  for (let row = 0; row < rows.length; row += 1) {
    const expected = outputs[row]!;
    if (Math.abs(scores[row]! - expected) <= SAMPLE_TOLERANCE * Math.max(1, Math.abs(expected))) continue;
    throw new SlipwayError(
      'MODEL_SIGNATURE',
      `version ${ref.version} of ${ref.model}: sample ${row} gives ${scores[row]}, the release says ${expected}`,
    );
  }
}

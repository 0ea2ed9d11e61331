import { readFile } from 'node:fs/promises';
import type { BlobStore } from '../../infra/object-store/port';
import type { ReleaseRegistry } from '../../infra/releases/port';
import { compromisedKeyOf } from '../../infra/signing/compromised-key';
import type { Trust, WorkspacePolicy } from '../../infra/signing/port';
import type { Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import type { ReleaseManifest, ReleaseRef, SampleRows } from '../../workflows/domain/release';
import type { Column } from './conversion';
import type { Executor } from './executor';
import { InputPlan, missingValue } from './input-plan';
import type { Inspections } from './inspections';
import type { RequestLimits } from './protocol';
import type { LoadedRelease } from './served-model';

export interface ReleaseCacheOptions {
  readonly registry: Pick<ReleaseRegistry, 'verify'>;
  /** Its folder is this gateway's own: what was verified once can be opened again without the store. */
  readonly blobs: Pick<BlobStore, 'file'>;
  readonly trust: Pick<Trust, 'policy'>;
  readonly inspections: Pick<Inspections, 'check'>;
  readonly executor: Executor;
  readonly limits: RequestLimits;
  readonly nowMs?: () => number;
}

/** Outputs on this machine may differ from the recorded ones by rounding only. */
const SAMPLE_TOLERANCE = 1e-5;
/** Requests that were given a release have long been answered by then. */
const UNLOAD_AFTER_MS = 60_000;

interface Entry {
  readonly loading: Promise<LoadedRelease>;
  /** Null for what was reopened from disk. */
  verifiedUnder: WorkspacePolicy | null;
  isOpen: boolean;
}

/** Releases that are open here, by digest. Nothing gets in that was not verified and did not pass its own samples (I2). */
export class ReleaseCache {
  private readonly loaded = new Map<Digest, Entry>();
  private readonly unusedSince = new Map<Digest, number>();
  private readonly nowMs: () => number;

  constructor(private readonly options: ReleaseCacheOptions) {
    this.nowMs = options.nowMs ?? (() => performance.now());
  }

  /**
   * A release that is open already is verified again when the policy is not the one it was verified under. Throws what
   * ReleaseRegistry.verify throws, MODEL_UNREADABLE, and MODEL_SIGNATURE where signature or samples come out different.
   */
  async load(ref: ReleaseRef): Promise<LoadedRelease> {
    const { policy } = this.options.trust;
    const known = this.loaded.get(ref.digest);
    if (!known)
      return this.once(ref.digest, policy, async () =>
        this.open(ref, await this.options.registry.verify(ref, 'serve')),
      );
    if (known.verifiedUnder !== policy) {
      await this.verify(ref);
      known.verifiedUnder = policy;
    }
    return known.loading;
  }

  /** A release that this gateway verified before it was started again: its files' digests are checked once more. */
  reopen(ref: ReleaseRef, manifest: ReleaseManifest): Promise<LoadedRelease> {
    return this.once(ref.digest, null, () => this.open(ref, manifest));
  }

  /** Closes them at once; the next `load` begins with verifying again. */
  forget(releases: readonly ReleaseRef[]): void {
    for (const { digest } of releases) this.drop(digest);
  }

  /** Closes what has not been in use for a minute. */
  retain(used: ReadonlySet<Digest>): void {
    for (const [digest, { isOpen }] of this.loaded) {
      if (used.has(digest) || !isOpen) this.unusedSince.delete(digest);
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
    entry?.loading.then(({ session }) => this.options.executor.unload(session)).catch(() => undefined);
  }

  /** One opening at a time of the same release; a failed one is forgotten, so that the next poll tries again. */
  private once(
    digest: Digest,
    verifiedUnder: WorkspacePolicy | null,
    open: () => Promise<LoadedRelease>,
  ): Promise<LoadedRelease> {
    const known = this.loaded.get(digest);
    if (known) return known.loading;
    const entry: Entry = { loading: open(), verifiedUnder, isOpen: false };
    this.loaded.set(digest, entry);
    entry.loading.then(
      () => (entry.isOpen = true),
      () => {
        if (this.loaded.get(digest) === entry) this.loaded.delete(digest);
      },
    );
    return entry.loading;
  }

  private async open(ref: ReleaseRef, manifest: ReleaseManifest): Promise<LoadedRelease> {
    const { blobs, executor, inspections, limits } = this.options;
    const samples = JSON.parse(await readFile(await blobs.file(manifest.samples), 'utf8')) as SampleRows;
    const path = await blobs.file(manifest.onnx);
    await inspections.check(path, manifest.onnx, manifest.signature);
    const session = await executor.load(path, manifest.signature);
    try {
      await probe(executor, session, ref, manifest, samples);
    } catch (error) {
      executor.unload(session);
      throw error;
    }
    return { ref, manifest, plan: new InputPlan(manifest.signature, limits), session };
  }
}

/** Self-test and warm-up in one: the samples must come out as they were recorded. */
async function probe(
  executor: Executor,
  session: number,
  ref: ReleaseRef,
  manifest: ReleaseManifest,
  { rows, outputs }: SampleRows,
): Promise<void> {
  if (rows.length === 0) return;
  const scores = await executor.score(session, sampleColumns(manifest, rows), rows.length);
  for (let row = 0; row < rows.length; row += 1) {
    const expected = outputs[row]!;
    if (Math.abs(scores[row]! - expected) <= SAMPLE_TOLERANCE * Math.max(1, Math.abs(expected))) continue;
    throw new SlipwayError(
      'MODEL_SIGNATURE',
      `version ${ref.version} of ${ref.model}: sample ${row} gives ${scores[row]}, the release says ${expected}`,
    );
  }
}

export function sampleColumns(manifest: ReleaseManifest, rows: SampleRows['rows']): Column[] {
  return manifest.signature.inputs.map((input) =>
    rows.map((row) => {
      const value = row[input.name];
      if (value === null || value === undefined) return missingValue(input);
      return typeof value === 'boolean' ? Number(value) : value;
    }),
  );
}

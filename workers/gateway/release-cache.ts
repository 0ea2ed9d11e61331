import { readFile } from 'node:fs/promises';
import type { BlobStore } from '../../infra/object-store/port';
import type { ReleaseRegistry } from '../../infra/releases/port';
import type { Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import type { ReleaseManifest, ReleaseRef, SampleRows } from '../../workflows/domain/release';
import type { Column } from './conversion';
import type { Executor } from './executor';
import { InputPlan, missingValue } from './input-plan';
import type { RequestLimits } from './protocol';
import type { LoadedRelease } from './served-model';

export interface ReleaseCacheOptions {
  readonly registry: Pick<ReleaseRegistry, 'verify'>;
  /** Its folder is this gateway's own: what was verified once can be opened again without the store. */
  readonly blobs: Pick<BlobStore, 'file'>;
  readonly executor: Executor;
  readonly limits: RequestLimits;
  readonly nowMs?: () => number;
}

/** Outputs on this machine may differ from the recorded ones by rounding only. */
const SAMPLE_TOLERANCE = 1e-5;
/** Requests that were given a release have long been answered by then. */
const UNLOAD_AFTER_MS = 60_000;

/** Releases that are open here, by digest. Nothing gets in that was not verified and did not pass its own samples (I2). */
export class ReleaseCache {
  private readonly loaded = new Map<Digest, Promise<LoadedRelease>>();
  private readonly unusedSince = new Map<Digest, number>();
  private readonly nowMs: () => number;

  constructor(private readonly options: ReleaseCacheOptions) {
    this.nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Throws what ReleaseRegistry.verify throws, MODEL_UNREADABLE, and MODEL_SIGNATURE where the samples come out different. */
  load(ref: ReleaseRef): Promise<LoadedRelease> {
    return this.once(ref.digest, async () => this.open(ref, await this.options.registry.verify(ref, 'serve')));
  }

  /** A release that this gateway verified before it was started again: its files' digests are checked once more. */
  reopen(ref: ReleaseRef, manifest: ReleaseManifest): Promise<LoadedRelease> {
    return this.once(ref.digest, () => this.open(ref, manifest));
  }

  /** What was reopened from disk, verified as `load` does. */
  async verify(releases: readonly LoadedRelease[]): Promise<void> {
    await Promise.all(releases.map(({ ref }) => this.options.registry.verify(ref, 'serve')));
  }

  /** The next `load` begins with verifying again. */
  forget(releases: readonly LoadedRelease[]): void {
    for (const { ref, session } of releases) {
      this.loaded.delete(ref.digest);
      this.options.executor.unload(session);
    }
  }

  /** Closes what has not been in use for a minute. */
  retain(used: ReadonlySet<Digest>): void {
    for (const [digest, loading] of this.loaded) {
      if (used.has(digest)) this.unusedSince.delete(digest);
      else if (!this.unusedSince.has(digest)) this.unusedSince.set(digest, this.nowMs());
      else if (this.nowMs() - this.unusedSince.get(digest)! > UNLOAD_AFTER_MS) {
        this.loaded.delete(digest);
        this.unusedSince.delete(digest);
        void loading.then((release) => this.options.executor.unload(release.session)).catch(() => undefined);
      }
    }
  }

  /** One opening at a time of the same release; a failed one is forgotten, so that the next poll tries again. */
  private once(digest: Digest, open: () => Promise<LoadedRelease>): Promise<LoadedRelease> {
    let loading = this.loaded.get(digest);
    if (!loading) {
      loading = open();
      this.loaded.set(digest, loading);
      loading.catch(() => this.loaded.delete(digest));
    }
    return loading;
  }

  private async open(ref: ReleaseRef, manifest: ReleaseManifest): Promise<LoadedRelease> {
    const { blobs, executor, limits } = this.options;
    const samples = JSON.parse(await readFile(await blobs.file(manifest.samples), 'utf8')) as SampleRows;
    const session = await executor.load(await blobs.file(manifest.onnx), manifest.signature);
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

function sampleColumns(manifest: ReleaseManifest, rows: SampleRows['rows']): Column[] {
  return manifest.signature.inputs.map((input) =>
    rows.map((row) => {
      const value = row[input.name];
      if (value === null || value === undefined) return missingValue(input);
      return typeof value === 'boolean' ? Number(value) : value;
    }),
  );
}

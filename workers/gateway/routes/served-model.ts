import type { WorkspacePolicy } from '../../../infra/signing/port';
import type { Digest } from '../../../workflows/domain/digest';
import type { SlipwayError } from '../../../workflows/domain/errors';
import type { ReleaseManifest, ReleaseRef } from '../../../workflows/domain/release';
import type { Arm, Route } from '../../../workflows/domain/route';
import { assignArm } from '../../../workflows/domain/route';
import type { Breaker } from './breaker';
import { InferenceCache } from '../inference/inference-cache';
import type { Scorer } from '../execution/scorer';
import type { InputPlan } from '../inference/input-plan';
import type { GenerationObserver } from '../records/observations';

/** What is known of the server behind a release; see EndpointHealth. */
export interface EndpointStatus {
  /** It gives other answers than those that were approved. */
  readonly isChanged: boolean;
  /** What people should hear; null where all is well. */
  readonly problem: SlipwayError | null;
  /** Why requests get no scores now; null where they do, or may. */
  readonly refusal: SlipwayError | null;
}

/** A verified release, open and self-tested. */
export interface LoadedRelease {
  readonly ref: ReleaseRef;
  readonly manifest: ReleaseManifest;
  readonly plan: InputPlan;
  readonly scorer: Scorer;
  /** Null or absent: its model is in this process. */
  readonly endpoint?: EndpointStatus;
  /** Estimate, in all threads together. Absent where nobody measured: a file that is tried locally. */
  readonly memoryBytes?: number;
}

export interface LoadedShadow {
  readonly name: string;
  readonly sample: number;
  readonly release: LoadedRelease;
}

/**
 * What is served for a model: one generation of its route with all its releases open. Made whole, then put in place by one
 * assignment, so that a request sees the old generation or the new one and never a mixture.
 */
export class ServedModel {
  private readonly challengerArm: Arm | undefined;
  /** Of this generation: a route change begins with empty ones. */
  private readonly caches = new Map<LoadedRelease, InferenceCache>();
  /** Policy under which route and releases were last verified with the store; null for what was taken from this gateway's disk. */
  verifiedUnder: WorkspacePolicy | null = null;

  constructor(
    readonly route: Route,
    readonly digest: Digest,
    readonly champion: LoadedRelease,
    readonly challenger: LoadedRelease | null,
    readonly shadows: readonly LoadedShadow[],
    readonly observer: GenerationObserver,
    readonly breaker: Breaker,
    /** When the store last said that this is the newest route, on the monotonic clock; -Infinity when it never did. */
    public confirmedAtMs: number,
    /** Why an arm of the route is not served, or what does not verify any more; null where all is well. */
    public problem: SlipwayError | null = null,
  ) {
    this.challengerArm = route.arms.find((arm) => arm.name === 'challenger');
    for (const release of challenger ? [champion, challenger] : [champion]) {
      const { cache } = release.manifest.serving;
      if (cache) this.caches.set(release, new InferenceCache(cache));
    }
  }

  /** Invariant I4: a challenger serves under a fresh confirmation of its route only; so do pairs and shadows. */
  mayTry(nowMs: number): boolean {
    return !this.breaker.isTripped && nowMs - this.confirmedAtMs <= this.route.challengerLeaseMs;
  }

  /** Null where the release's spec asks for none. */
  cacheOf(release: LoadedRelease): InferenceCache | null {
    return this.caches.size === 0 ? null : (this.caches.get(release) ?? null);
  }

  /** Whether the challenger takes this key. */
  takesChallenger(key: string, nowMs: number): boolean {
    if (!this.challenger || !this.mayTry(nowMs)) return false;
    return assignArm(this.route, key) === this.challengerArm;
  }

  get releases(): readonly LoadedRelease[] {
    return [
      this.champion,
      ...(this.challenger ? [this.challenger] : []),
      ...this.shadows.map((shadow) => shadow.release),
    ];
  }
}

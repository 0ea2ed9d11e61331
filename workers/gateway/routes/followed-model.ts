import type { StoredRoute } from '../../../infra/routes/port';
import type { Digest } from '../../../workflows/domain/digest';
import { type ErrorCode, SlipwayError } from '../../../workflows/domain/errors';
import type { LoadedRelease, ServedModel } from './served-model';

/** Newest generation of a model that this gateway has taken: a lower one, or another document in its place, is refused (I1). */
export interface KnownGeneration {
  readonly generation: number;
  readonly digest: Digest;
}

/** What the follower knows of one model. */
export interface FollowedModel {
  served: ServedModel | null;
  /** Served before this generation's champion: kept warm for an instant rollback. */
  previousChampion: LoadedRelease | null;
  problem: { readonly code: ErrorCode; readonly message: string } | null;
  tripped: Set<number>;
  isRetired: boolean;
  /** Outlives what is served: a retired model, or one that a compromised key stopped, does not go back either. */
  known: KnownGeneration | null;
  /** Compromised key that the newest route, or an arm of it, rests on; what rests on it is not served. */
  compromisedKey: string | null;
  /** The question that is under way: a slow store is not asked twice. */
  asking: Promise<StoredRoute | null> | null;
  /** The route that is being opened. A newer one takes its place, so that a rollback never waits for a slow model. */
  opening: { readonly digest: Digest; readonly done: Promise<void> } | null;
  /** Releases of the routes that are being opened, by route: memory is not taken from them. */
  readonly wanted: Map<Digest, readonly Digest[]>;
}

export function newFollowedModel(): FollowedModel {
  return {
    served: null,
    previousChampion: null,
    problem: null,
    tripped: new Set(),
    isRetired: false,
    known: null,
    compromisedKey: null,
    asking: null,
    opening: null,
    wanted: new Map(),
  };
}

/** Throws AUDIT_BROKEN where the store offers a lower generation than the one that is known, or another document for it. */
export function refuseStepBack(known: KnownGeneration | null, { route, digest }: StoredRoute): void {
  if (known === null || route.generation > known.generation) return;
  if (route.generation < known.generation)
    throw new SlipwayError(
      'AUDIT_BROKEN',
      `the store went back from generation ${known.generation} to ${route.generation}`,
    );
  if (digest !== known.digest)
    throw new SlipwayError('AUDIT_BROKEN', `generation ${route.generation} of ${route.model} was changed`);
}

/** May be over at the next look. */
export function isPassing(error: unknown): boolean {
  return !(error instanceof SlipwayError) || error.kind.retryable;
}

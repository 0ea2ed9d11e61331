import type { AuditRef } from './audit';
import type { Digest } from './digest';
import type { ModelName } from './names';
import { murmur3 } from './murmur';
import type { ReleaseRef } from './release';
import type { AssignmentSpec, Clock } from './spec';

export type ArmName = 'champion' | 'challenger';

export interface Arm {
  readonly name: ArmName;
  readonly release: ReleaseRef;
  /** Share of assignment keys, [0, 1]; the arms' weights sum to 1. */
  readonly weight: number;
}

export interface ShadowArm {
  readonly name: string;
  readonly release: ReleaseRef;
  /** Fraction of requests that are mirrored, (0, 1]. */
  readonly sample: number;
}

export type RouteState = 'serving' | 'frozen' | 'retired';

/** What gateways serve for a model. Stored as a DSSE envelope; creating the key of a generation is the commit (I1). */
export interface Route {
  readonly schema: 'slipway.route/1';
  readonly workspace: string;
  readonly model: ModelName;
  readonly generation: number;
  /** Digest of the canonical JSON of the route of the generation before. */
  readonly previous: Digest | null;
  /** Id of the intent that this commit carries out; a retried commit finds its own by it. */
  readonly intent: string;
  readonly state: RouteState;
  readonly arms: readonly Arm[];
  readonly shadows: readonly ShadowArm[];
  /** The champion also scores the challenger's requests and the reverse, off the caller's path. */
  readonly paired: boolean;
  readonly assignment: AssignmentSpec;
  readonly salt: string;
  readonly clock: Clock;
  /** A gateway that could not confirm this route for so long serves the champion only. */
  readonly challengerLeaseMs: number;
  readonly rollout: { readonly id: string; readonly step: number } | null;
  readonly audit: AuditRef;
  readonly committedAt: string;
}

/** Newest generation by model: a hint that may lag and is never trusted. */
export interface RouteIndex {
  readonly generations: Readonly<Record<ModelName, number>>;
}

/**
 * Position of a key in [0, 1): MurmurHash3 x86 32-bit (Appleby, public domain) of `salt`, a zero byte and the key, in UTF-8.
 * The challenger takes [0, weight), so that a key on it at 5 % stays on it at 25 %.
 */
export function bucketOf(salt: string, key: string): number {
  return murmur3(`${salt}\u0000${key}`) / 0x1_0000_0000;
}

/** The arm that serves a key. */
export function assignArm(route: Pick<Route, 'arms' | 'salt'>, key: string): Arm {
  const challenger = route.arms.find((arm) => arm.name === 'challenger');
  const champion = route.arms.find((arm) => arm.name === 'champion');
  if (challenger && bucketOf(route.salt, key) < challenger.weight) return challenger;
  if (champion) return champion;
  throw new TypeError('a route needs a champion');
}

import type { AuditRef } from './audit';
import type { Digest } from './digest';
import type { ModelName } from './names';
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
  return murmur3(utf8Bytes(`${salt}\u0000${key}`)) / 0x1_0000_0000;
}

/** The arm that serves a key. */
export function assignArm(route: Pick<Route, 'arms' | 'salt'>, key: string): Arm {
  const challenger = route.arms.find((arm) => arm.name === 'challenger');
  const champion = route.arms.find((arm) => arm.name === 'champion');
  if (challenger && bucketOf(route.salt, key) < challenger.weight) return challenger;
  if (champion) return champion;
  throw new TypeError('a route needs a champion');
}

function utf8Bytes(text: string): number[] {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return bytes;
}

function murmur3(bytes: readonly number[]): number {
  let hash = 0;
  const blocks = bytes.length >> 2;
  for (let block = 0; block < blocks; block += 1) {
    const at = block * 4;
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    hash ^= mix(word);
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64;
  }
  let tail = 0;
  for (let at = bytes.length - 1; at >= blocks * 4; at -= 1) tail = (tail << 8) | bytes[at]!;
  if (bytes.length & 3) hash ^= mix(tail);
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mix(word: number): number {
  const scrambled = Math.imul(word, 0xcc9e2d51);
  return Math.imul((scrambled << 15) | (scrambled >>> 17), 0x1b873593);
}

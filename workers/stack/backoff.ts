/** How a child that dies is started again: at once after a long life, ever slower when it dies young. */
export interface BackoffPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
  /** A child that lived this long is stable: its next death counts as the first. */
  readonly stableMs: number;
}

export const RESTART_BACKOFF: BackoffPolicy = { firstMs: 200, maxMs: 10_000, stableMs: 20_000 };

/** Delay before the next start. `deaths` counts deaths since the last stable life, the newest included. */
export function restartDelayMs(policy: BackoffPolicy, deaths: number): number {
  return Math.min(policy.maxMs, policy.firstMs * 2 ** Math.max(0, deaths - 1));
}

export function countDeath(policy: BackoffPolicy, deathsBefore: number, livedMs: number): number {
  return livedMs >= policy.stableMs ? 1 : deathsBefore + 1;
}

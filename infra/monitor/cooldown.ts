import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import { canonicalBytes } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';

/** One retrain that the monitor was allowed to start. */
interface RetrainClaim {
  readonly schema: 'slipway.retrain/1';
  readonly look: string;
  /** Epoch ms in the model's clock. */
  readonly atMs: number;
  readonly untilMs: number;
}

/**
 * Allows one retrain for each `cooldownMs` of the model's clock, whoever asks and however often: the claim is a conditional
 * create. The same look is allowed again, so that a retried activity finds its own claim. `at` is RFC 3339.
 */
export async function claimRetrain(
  store: ObjectStore,
  model: ModelName,
  look: string,
  at: string,
  cooldownMs: number,
): Promise<boolean> {
  const atMs = Date.parse(at);
  for (;;) {
    const claims = await readClaims(store, model);
    if (claims.some((claim) => claim.look === look)) return true;
    if (claims.some((claim) => isWithin(claim, atMs))) return false;
    const claim: RetrainClaim = { schema: 'slipway.retrain/1', look, atMs, untilMs: atMs + cooldownMs };
    // Lost: somebody else claimed at the same moment, and what they claimed is to be judged first.
    if (await store.create(keys.monitorRetrain(model, claims.length + 1), canonicalBytes(claim))) return true;
  }
}

/** When the cooldown that holds at `at` ends, RFC 3339; null where a retrain may start. Does not claim. */
export async function coolingUntil(store: ObjectStore, model: ModelName, at: string): Promise<string | null> {
  const claim = (await readClaims(store, model)).find((candidate) => isWithin(candidate, Date.parse(at)));
  return claim ? new Date(claim.untilMs).toISOString() : null;
}

function isWithin(claim: RetrainClaim, atMs: number): boolean {
  return atMs >= claim.atMs && atMs < claim.untilMs;
}

async function readClaims(store: ObjectStore, model: ModelName): Promise<RetrainClaim[]> {
  const claims: RetrainClaim[] = [];
  for (let sequence = 1; ; sequence += 1) {
    const bytes = await store.get(keys.monitorRetrain(model, sequence));
    if (!bytes) return claims;
    claims.push(JSON.parse(Buffer.from(bytes).toString('utf8')) as RetrainClaim);
  }
}

import type { AuditRef } from '../../workflows/domain/audit';
import type { ModelName } from '../../workflows/domain/names';
import type { ObjectStore } from '../object-store/port';
import type { Trust } from '../signing/port';
import { verifyChain, type AuditProblem } from './verify-chain';
import { verifyEffects } from './verify-effects';
import { checkHead, readWitnesses, verifyCheckpoints } from './verify-heads';

export type { AuditProblem, AuditProblemKind } from './verify-chain';

export interface AuditVerification {
  readonly model: ModelName;
  readonly entries: number;
  readonly head: AuditRef | null;
  /** Newest entry that a checkpoint signs: what is beyond rests on the chain, the routes and the gateways. */
  readonly signedUpTo: number;
  /** Routes, releases and approvals that were held against the log. */
  readonly effects: number;
  /** Empty: nothing was taken out, changed, reordered or truncated, as far as anything shows. */
  readonly problems: readonly AuditProblem[];
}

export interface VerifyOptions {
  /** Heads that the caller wrote down earlier. */
  readonly heads?: readonly AuditRef[];
}

/**
 * Holds a model's audit log against itself, its signed checkpoints, its effects, and what gateways and the caller remember of it
 * (I7). Throws errors of the store only: what is wrong with the log is in the result.
 */
export async function verifyAudit(
  store: ObjectStore,
  trust: Trust,
  model: ModelName,
  options: VerifyOptions = {},
): Promise<AuditVerification> {
  const problems: AuditProblem[] = [];
  // Before the chain: an entry that is appended meanwhile must not look like one that is missing.
  const witnesses = await readWitnesses(store, model);
  const chain = await verifyChain(store, trust.policy.workspace, model, problems);
  const signedUpTo = await verifyCheckpoints(store, trust, model, chain, problems);
  for (const { key, audit } of witnesses) if (audit) checkHead(chain, audit, key, problems);
  for (const head of options.heads ?? []) checkHead(chain, head, 'the head given', problems);
  const effects = await verifyEffects({ store, trust, model, chain, problems }, witnesses);
  return {
    model,
    entries: chain.entries.size,
    head: chain.entries.get(chain.last)?.ref ?? null,
    signedUpTo,
    effects,
    problems,
  };
}

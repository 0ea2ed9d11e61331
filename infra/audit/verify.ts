import type { AuditRef } from '../../workflows/domain/audit';
import type { ModelName } from '../../workflows/domain/names';
import type { ObjectStore } from '../object-store/port';
import type { Trust } from '../signing/port';
import { listSequences } from './chain';
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

/** On a chain that grows all the while, what the last look found is told. */
const maxAttempts = 5;

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
  for (let attempt = 1; ; attempt += 1) {
    const verification = await verifyOnce(store, trust, model, options.heads ?? []);
    if (verification.problems.length === 0 || attempt === maxAttempts) return verification;
    // An effect whose entry was appended after the chain was read looks like one without an entry.
    const last = (await listSequences(store, model)).at(-1) ?? 0;
    if (last <= (verification.head?.sequence ?? 0)) return verification;
  }
}

async function verifyOnce(
  store: ObjectStore,
  trust: Trust,
  model: ModelName,
  heads: readonly AuditRef[],
): Promise<AuditVerification> {
  const problems: AuditProblem[] = [];
  const chain = await verifyChain(store, trust.policy.workspace, model, problems);
  const signedUpTo = await verifyCheckpoints(store, trust, model, chain, problems);
  const witnesses = await readWitnesses(store, model);
  for (const { key, audit } of witnesses) if (audit) checkHead(chain, audit, key, problems);
  for (const head of heads) checkHead(chain, head, 'the head given', problems);
  const effects = await verifyEffects({ store, trust, model, chain, problems }, witnesses);
  const head = chain.entries.get(chain.last)?.ref ?? null;
  return { model, entries: chain.entries.size, head, signedUpTo, effects, problems };
}

import type { Digest } from '../../workflows/domain/digest';

/**
 * Ids of audit entries: operation, domain id and, where the same thing may be tried with other input, its digest. Unique within
 * a model's chain. One place, because an id written by one process is looked up by another.
 */
export const auditIds = {
  /** One admission for each nonce: the second command with it is a retry or a replay. */
  command: (nonce: string): string => `command/${nonce}`,
  refusal: (what: string, input: Digest, code: string): string => `refused/${what}/${hex(input)}/${code}`,
  runFinished: (run: string): string => `run/${run}/finished`,
  /** A run that lost the race for a version intends the next one under another id. */
  release: (run: string, version: number): string => `release/${version}/${run}`,
  approval: (version: number, approval: Digest): string => `approval/${version}/${hex(approval)}`,
  approvalExpired: (version: number, run: string): string => `approval/${version}/expired/${run}`,
  route: (generation: number, intent: string): string => `route/${generation}/${intent}`,
  rollout: (rollout: string, event: string): string => `rollout/${rollout}/${event}`,
  recovered: (rollout: string, generation: number): string => `recovered/${generation}/${rollout}`,
} as const;

function hex(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

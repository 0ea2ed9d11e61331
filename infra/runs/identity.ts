import { type RunIdentity, runId, runIdentityText } from '../../workflows/domain/run-identity';
import { digestOf } from '../object-store/digest';

/** Id of one attempt at a run: the same identity gives the same id wherever it is asked for. */
export function runIdentity(identity: RunIdentity, attempt: number): string {
  return runId(digestOf(Buffer.from(runIdentityText(identity), 'utf8')), attempt);
}

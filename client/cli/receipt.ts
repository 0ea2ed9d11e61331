import { ERRORS } from '../../workflows/domain/errors';
import type { Receipt } from '../../workflows/lifecycle.messages';
import type { Session } from './session';

/** Says whether a command or decision was taken. A refusal is an answer, with the exit code of its reason. */
export function reportReceipt(session: Session, receipt: Receipt): void {
  if (receipt.accepted) {
    session.result(receipt, [`accepted: ${receipt.detail}`]);
    return;
  }
  session.result(receipt, [`refused, ${receipt.code}: ${receipt.detail}`, `next: ${ERRORS[receipt.code].advice}`]);
  session.exitWith(ERRORS[receipt.code].exit);
}

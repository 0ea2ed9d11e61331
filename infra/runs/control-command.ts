import type { CommandAction, CommandDocument } from '../../workflows/domain/approval';
import { type Envelope, PAYLOAD_TYPES } from '../../workflows/domain/envelope';
import type { ModelName } from '../../workflows/domain/names';
import type { Signer } from '../signing/port';

/** Until when a command of the control plane may arrive: it is sent at once, and again after an outage of minutes. */
const VALID_MS = 10 * 60_000;

export interface ControlCommand {
  readonly workspace: string;
  readonly action: CommandAction;
  readonly target: ModelName;
  readonly args: Readonly<Record<string, unknown>>;
  /** 1 to 128 of letters, digits, `.`, `_` and `-`. */
  readonly nonce: string;
}

/** A command of the control plane itself, such as a hand-over, signed with its own key. */
export function signControlCommand(signer: Signer, command: ControlCommand, now: Date): Envelope {
  const document: CommandDocument = {
    schema: 'slipway.command/1',
    ...command,
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + VALID_MS).toISOString(),
  };
  return signer.sign(PAYLOAD_TYPES.command, document);
}

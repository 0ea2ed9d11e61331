import { randomUUID } from 'node:crypto';
import type { Signer } from '../infra/signing/port';
import type { ApprovalDocument, CommandAction, CommandDocument } from '../workflows/domain/approval';
import type { ArmPermit } from '../workflows/domain/arm-permit';
import type { Digest } from '../workflows/domain/digest';
import { type Envelope, PAYLOAD_TYPES } from '../workflows/domain/envelope';
import type { ModelName } from '../workflows/domain/names';
import type { ReleaseRef } from '../workflows/domain/release';

/** A command is meant now: what arrives later than this is refused. */
const COMMAND_VALID_MS = 10 * 60_000;
/** An approval may travel by hand into the Temporal UI. */
const APPROVAL_VALID_MS = 24 * 3_600_000;

export interface CommandInput {
  readonly workspace: string;
  readonly action: CommandAction;
  readonly target: ModelName;
  readonly args: Readonly<Record<string, unknown>>;
}

export interface SignedCommand {
  /** Also the update's id, so that a retry of the call is not a second command. */
  readonly nonce: string;
  readonly envelope: Envelope;
}

export function signCommand(signer: Signer, input: CommandInput, now = new Date()): SignedCommand {
  const document: CommandDocument = {
    schema: 'slipway.command/1',
    ...input,
    nonce: randomUUID(),
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + COMMAND_VALID_MS).toISOString(),
  };
  return { nonce: document.nonce, envelope: signer.sign(PAYLOAD_TYPES.command, document) };
}

export interface ArmPermitInput {
  readonly workspace: string;
  readonly model: ModelName;
  readonly arm: string;
  readonly validMs: number;
}

/** A permit for testers, as the header `slipway-arm` takes it. */
export function signArmPermit(signer: Signer, { validMs, ...input }: ArmPermitInput, now = new Date()): string {
  const permit: ArmPermit = {
    schema: 'slipway.arm/1',
    ...input,
    nonce: randomUUID(),
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + validMs).toISOString(),
  };
  return Buffer.from(JSON.stringify(signer.sign(PAYLOAD_TYPES.arm, permit))).toString('base64url');
}

export interface ApprovalInput {
  readonly workspace: string;
  readonly decision: ApprovalDocument['decision'];
  readonly release: ReleaseRef;
  readonly evidence: Digest;
  readonly comment: string;
}

export function signApproval(signer: Signer, input: ApprovalInput, now = new Date()): Envelope {
  const document: ApprovalDocument = {
    schema: 'slipway.approval/1',
    ...input,
    at: now.toISOString(),
    expiresAt: new Date(now.getTime() + APPROVAL_VALID_MS).toISOString(),
  };
  return signer.sign(PAYLOAD_TYPES.approval, document);
}

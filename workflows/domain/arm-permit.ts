import type { ModelName } from './names';

/** What an operator signs for a tester: requests that bring it are answered by this arm. */
export interface ArmPermit {
  readonly schema: 'slipway.arm/1';
  readonly workspace: string;
  readonly model: ModelName;
  /** `champion`, `challenger`, or the name of a shadow. */
  readonly arm: string;
  readonly nonce: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/** A permit is for a test, not for an application. */
export const LONGEST_ARM_PERMIT_MS = 7 * 86_400_000;

/** HTTP header or gRPC metadata: base64url of the signed envelope's JSON. */
export const ARM_HEADER = 'slipway-arm';

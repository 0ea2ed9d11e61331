import type { AuditRef } from './audit';
import type { Digest } from './digest';
import type { ErrorCode } from './errors';
import type { ModelName } from './names';
import type { ReleaseRef } from './release';

/** What a gateway says of itself every few seconds, under `keys.gateway`. A hint for people and tools; never trusted. */
export interface GatewayHeartbeat {
  readonly schema: 'slipway.gateway/1';
  readonly id: string;
  readonly incarnation: string;
  readonly pid: number;
  readonly address: string;
  readonly startedAt: string;
  readonly at: string;
  readonly draining: boolean;
  readonly models: Readonly<Record<ModelName, ServedState>>;
  /** The audit entry of each newest route it verified: found again by `audit verify`, so that truncation is seen. */
  readonly audit: Readonly<Record<ModelName, AuditRef>>;
}

export interface ServedState {
  readonly generation: number;
  readonly route: Digest;
  readonly champion: ReleaseRef;
  readonly challenger: ReleaseRef | null;
  /** False where the lease ran out or the breaker tripped: the champion serves everything. */
  readonly challengerAllowed: boolean;
  /** Why a newer route, or a release of it, is not served. */
  readonly problem: { readonly code: ErrorCode; readonly message: string } | null;
}

import type { Digest } from '../../workflows/domain/digest';
import type { ModelName } from '../../workflows/domain/names';
import type { Route } from '../../workflows/domain/route';

export interface StoredRoute {
  readonly route: Route;
  readonly digest: Digest;
}

export interface RouteReader {
  /** Starts at the larger of `known` and the hint, at `known` where the hint names no route, and probes upward; null where the model has no route. Verifies signature, chain of digests from `known`, and audit entry. */
  newest(model: ModelName, known?: number): Promise<StoredRoute | null>;
  at(model: ModelName, generation: number): Promise<StoredRoute | null>;
  /** Models named by the hint, for gateways that serve all. */
  models(): Promise<ModelName[]>;
}

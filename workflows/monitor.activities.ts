import type { Digest } from './domain/digest';
import type { ModelName } from './domain/names';
import type { LookResult } from './domain/monitoring';

/** On the compute queue. */
export interface MonitorComputeActivities {
  /** Data quality, then drift, then calibration over one window, and the decision; kept under the look's id. */
  look(input: { model: ModelName; asOf: string | null; look: string }): Promise<LookResult>;
}

/** On the control queue. */
export interface MonitorControlActivities {
  recordLook(input: { model: ModelName; look: string; result: LookResult }): Promise<void>;
  /** Starts a lifecycle with cause `drift` unless the cooldown, kept in the store, forbids it. Returns its run id or null. */
  startRetrain(input: { model: ModelName; asOf: string; report: Digest; look: string }): Promise<string | null>;
}

import type { Digest } from './digest';
import type { ModelName } from './names';
import type { Verdict } from './verdict';

/** What one look of the monitor found over one window. Blob; a retrain with cause `drift` links to it. */
export interface MonitorReport {
  readonly schema: 'slipway.look/1';
  readonly model: ModelName;
  readonly release: number;
  readonly windowFrom: string;
  readonly windowTo: string;
  readonly dataQuality: readonly Verdict[];
  readonly drift: readonly Verdict[];
  readonly calibration: Verdict;
  /** Requests of the window by all releases, refused ones too: as many as came, where only a share of them is logged. */
  readonly rows: number;
  /** Logged rows with a label, of the days that calibration was measured on. */
  readonly labelled: number;
}

/** Ordered by importance: bad data first (a retrain would learn it), then what a retrain can mend. */
export const MONITOR_DECISIONS = [
  'healthy',
  'not-measurable',
  'data-broken',
  'drifted',
  'decayed',
  'cooling-down',
  'retrain',
] as const;
export type MonitorDecision = (typeof MONITOR_DECISIONS)[number];

export interface LookResult {
  readonly decision: MonitorDecision;
  readonly detail: string;
  readonly report: Digest;
  readonly retrainAsOf: string | null;
}

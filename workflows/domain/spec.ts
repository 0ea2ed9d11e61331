import type { ModelName } from './names';
import type { ServingSpec } from './serving';

/**
 * What a user decides about one model, as `infra/spec` resolves it from `model.yaml`: every default is filled in, so that
 * the digest of this value is the digest of all decisions. Durations are milliseconds, rates are fractions.
 */
export interface ModelSpec {
  readonly schema: 'slipway/model/v1';
  readonly model: ModelName;
  readonly description: string;
  readonly owner: string;
  readonly task: Task;
  /** `event`: canary steps, windows and maturity count in the requests' own time, for replayed traffic. */
  readonly clock: Clock;
  readonly data: DataSpec;
  readonly features: readonly FeatureSpec[];
  readonly label: LabelSpec;
  readonly assignment: AssignmentSpec;
  readonly training: TrainingSpec;
  readonly gates: readonly GateSpec[];
  readonly approvals: ApprovalSpec;
  readonly rollout: RolloutSpec;
  readonly serving: ServingSpec;
  readonly monitor: MonitorSpec;
  readonly retention: { readonly predictionsMs: number };
}

export type Task = 'binary' | 'regression';
export type Clock = 'wall' | 'event';

export interface DataSpec {
  /** Path or glob of Parquet or CSV files, absolute after resolving against the spec's folder. */
  readonly source: string;
  readonly format: 'parquet' | 'csv';
  /** Column that names a row; predictions and labels join by it (the request id). */
  readonly id: string;
  /** Column with the instant at which the features were known (UTC timestamp). */
  readonly eventTime: string;
  /** Rows with eventTime in [from, as-of); `from` null is unbounded. `lastMs` bounds the window's length instead. */
  readonly from: string | null;
  readonly lastMs: number | null;
  /** The newest `holdoutMs` before the data as-of are the holdout, the `validationMs` before those the validation. */
  readonly validationMs: number;
  readonly holdoutMs: number;
  /** Largest fraction of rows that may be quarantined before the run fails. */
  readonly quarantineBudget: number;
}

/** number: FP32 with NaN as missing. integer and timestamp (epoch ms, UTC or naive local as declared): INT64. category: BYTES. boolean: BOOL. */
export type FeatureType = 'number' | 'integer' | 'category' | 'boolean' | 'timestamp';
export const DATE_PARTS = ['hour', 'dayOfWeek', 'month', 'minuteOfDay'] as const;
export type DatePart = (typeof DATE_PARTS)[number];
export type InvalidInputPolicy = 'reject' | 'impute' | 'flag';

export interface FeatureSpec {
  readonly name: string;
  readonly type: FeatureType;
  /** UCUM-like unit text (`mi`, `km`, `h`, `1`); compared literally between releases. Empty where none was declared. */
  readonly unit: string;
  /** Closed interval of allowed values; null where unbounded. */
  readonly range: readonly [number, number] | null;
  /** A category is closed when values are listed; otherwise its vocabulary is learned. */
  readonly values: readonly string[] | null;
  readonly nullable: boolean;
  /** timestamp only: which parts the served graph computes. */
  readonly parts: readonly DatePart[];
  readonly onInvalid: InvalidInputPolicy;
}

export interface LabelSpec {
  readonly column: string;
  /** Column with the instant at which the label became known; null: eventTime + maturityMs. */
  readonly knownAt: string | null;
  /** After this long a missing label counts as lost, not late. */
  readonly maturityMs: number;
}

/** What keeps a caller on one arm. `request` is the request id: every request is a caller of its own. */
export type AssignmentSpec =
  { readonly source: 'request' } | { readonly source: 'header' | 'parameter' | 'feature'; readonly name: string };

export interface TrainingSpec {
  readonly queue: 'compute' | 'gpu';
  readonly seed: number;
  readonly timeoutMs: number;
  readonly memoryMb: number;
  readonly trainer: BuiltinTrainer | CommandTrainer;
}

export interface BuiltinTrainer {
  readonly kind: 'logistic' | 'mlp';
  readonly hidden: readonly number[];
  readonly embedding: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly l2: number;
  /** Epochs between checkpoints. */
  readonly checkpointEvery: number;
  /** Epochs without a better validation loss before training stops; 0 never. */
  readonly patience: number;
}

export interface CommandTrainer {
  readonly kind: 'command';
  /** argv; run in `folder` with the file contract of docs/training.md. */
  readonly command: readonly string[];
  /** Absolute folder of the spec. */
  readonly folder: string;
}

export const METRICS = ['auc', 'logLoss', 'brier', 'calibrationError', 'rmse', 'mae', 'r2'] as const;
export type MetricName = (typeof METRICS)[number];
/** Whether a larger value of the metric is better. */
export const HIGHER_IS_BETTER: Readonly<Record<MetricName, boolean>> = {
  auc: true,
  logLoss: false,
  brier: false,
  calibrationError: false,
  rmse: false,
  mae: false,
  r2: true,
};

export type GateSpec =
  | {
      readonly kind: 'threshold';
      readonly metric: MetricName;
      readonly min: number | null;
      readonly max: number | null;
    }
  /** Better than predicting the training mean, by at least `by` (in the metric's unit). */
  | { readonly kind: 'baseline'; readonly metric: MetricName; readonly by: number }
  /** Not worse than the champion on the same holdout rows by more than `margin`, at `confidence` over days. */
  | { readonly kind: 'champion'; readonly metric: MetricName; readonly margin: number; readonly confidence: number }
  /** Callers can keep sending what they send: no new required input, no changed unit, no narrowed range. */
  | { readonly kind: 'compatible' };

export interface ApprovalSpec {
  /** Distinct people needed. 0 is only honoured where the workspace's policy allows unapproved releases. */
  readonly required: number;
  readonly withinMs: number;
}

export interface RolloutSpec {
  readonly bootstrap: 'direct' | 'shadow';
  readonly steps: readonly RolloutStep[];
  /** After the last step's pass, how long the challenger serves everything before the rollout ends. */
  readonly bakeMs: number;
  /** A step that is still inconclusive may be extended this often before the rollout ends `inconclusive`. */
  readonly extensions: number;
  readonly errors: ErrorCheckSpec;
  readonly disagreement: DisagreementCheckSpec | null;
  readonly quality: QualityCheckSpec | null;
}

export interface RolloutStep {
  /** Challenger's share of assignment keys, (0, 1]. */
  readonly weight: number;
  readonly forMs: number;
}

/** Fraction of assignment keys that met an error. Pass: not more than `margin` above the champion at level alpha. */
export interface ErrorCheckSpec {
  readonly margin: number;
  readonly alpha: number;
  readonly minKeys: number;
}

/** Mean absolute difference of both arms' scores on the same requests; fail with the mean day above `max`, or hours above `gross`. */
export interface DisagreementCheckSpec {
  readonly max: number;
  /** What no hour of a model within `max` differs by; beyond it nobody waits for whole days. */
  readonly gross: number;
  readonly alpha: number;
  readonly minKeys: number;
}

/** Paired loss on matured labels by day block. `better`: challenger must win; `notWorse`: may lose by at most `margin`. */
export interface QualityCheckSpec {
  readonly metric: 'logLoss' | 'brier' | 'squaredError';
  readonly require: 'better' | 'notWorse';
  /** Relative to the champion's mean loss, as a fraction. */
  readonly margin: number;
  readonly alpha: number;
  readonly minDays: number;
}

export interface MonitorSpec {
  readonly everyMs: number;
  readonly windowMs: number;
  readonly drift: { readonly alpha: number; readonly minEffect: number; readonly consecutive: number };
  readonly calibration: { readonly alpha: number; readonly maxGap: number; readonly consecutive: number };
  readonly retrain: { readonly enabled: boolean; readonly cooldownMs: number };
}

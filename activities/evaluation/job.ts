import type { ErrorCode } from '../../workflows/domain/errors';
import type { SampleRows, Signature } from '../../workflows/domain/release';
import type { CalibrationEvidence, ScorerMetrics } from '../../workflows/domain/run';
import type { MetricName, ModelSpec } from '../../workflows/domain/spec';

/** What the child is told. Paths are absolute; it writes nothing outside its folder. */
export interface EvaluationJob {
  readonly spec: ModelSpec;
  readonly candidate: ScorerJob;
  readonly champion: ScorerJob | null;
  readonly train: string;
  readonly validation: string;
  readonly holdout: string;
  readonly memoryMb: number;
}

export type ScoredSplitName = 'validation' | 'holdout';

/** A graph to run, or files of the scores that a server gave the splits that it is asked about: FP32, in the rows' order. */
export type ScorerJob = { readonly signature: Signature } & (
  { readonly onnx: string } | { readonly scores: Readonly<Partial<Record<ScoredSplitName, string>>> }
);

export type EvaluationReport =
  | { readonly ok: true; readonly evaluation: Evaluation }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/** What was measured on the holdout, and on the validation split for calibration. */
export interface Evaluation {
  readonly rows: number;
  readonly metrics: Readonly<Partial<Record<MetricName, ScorerMetrics>>>;
  readonly byDay: readonly DayMetrics[];
  readonly samples: SampleRows;
  readonly candidateUnscored?: string;
  /** Of a binary task. */
  readonly calibration?: CalibrationEvidence;
}

/** One UTC day of the holdout; null where a day cannot be measured (AUC with labels of one kind). */
export interface DayMetrics {
  readonly day: string;
  readonly rows: number;
  readonly meanLabel: number;
  readonly metrics: Readonly<
    Partial<Record<MetricName, { readonly candidate: number | null; readonly champion: number | null }>>
  >;
}

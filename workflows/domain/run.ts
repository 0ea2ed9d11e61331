import type { AuditRef } from './audit';
import type { Digest } from './digest';
import type { ErrorCode } from './errors';
import type { Cause, ModelName, TaskQueue } from './names';
import type { MetricName } from './spec';
import type { CalibrationMap } from './statistics/calibration-map';
import type { GateResult } from './verdict';

/** Stages of a run, in order; `status` and the search attribute `SlipwayStage` show them. */
export const STAGES = [
  'admitting',
  'ingesting',
  'training',
  'evaluating',
  'judging',
  'registering',
  'awaiting-approval',
  'rolling-out',
  'finished',
] as const;
export type Stage = (typeof STAGES)[number];

/** The steps whose results are kept by cache key and may be the `--from` of a retry. */
export const STEPS = ['ingest', 'train', 'evaluate'] as const;
export type Step = (typeof STEPS)[number];

/** A model that was trained elsewhere enters at the gates. */
export interface ImportedModel {
  /** Absent: an ONNX graph. `endpoint`: the blob is the descriptor of a server that exists. */
  readonly kind?: 'endpoint';
  /** Blob of the model. */
  readonly onnx: Digest;
  /** Blob of a `Signature`. */
  readonly signature: Digest;
  /**
   * Rows that the model never saw, read in place of the spec's data source: all of them are the holdout, and there is nothing to train on.
   * Absent: the splits of the spec apply.
   */
  readonly holdout?: HoldoutSource;
}

export interface HoldoutSource {
  /** Absolute path or glob. */
  readonly source: string;
  readonly format: 'parquet' | 'csv';
}

/** One pass of the lifecycle. Its identity is (model, commit, spec, as-of, attempt): the same identity joins the run that exists. */
export interface RunRequest {
  readonly schema: 'slipway.run/1';
  readonly workspace: string;
  readonly model: ModelName;
  readonly run: string;
  readonly attempt: number;
  readonly cause: Cause;
  readonly commit: string;
  /** Blob of the resolved `ModelSpec`. */
  readonly spec: Digest;
  /** Rows with event time before this instant are known to the run (RFC 3339). */
  readonly asOf: string;
  readonly imported: ImportedModel | null;
  /** Earlier attempt whose step results before `from` are taken over. */
  readonly from: { readonly run: string; readonly step: Step } | null;
  /** What led to this run: the monitor's look for cause `drift`. */
  readonly evidence: Digest | null;
  readonly requestedAt: string;
}

/** What the workflow needs of the spec to decide where and how long; everything else stays in the blob. */
export interface RunPlan {
  readonly trainingQueue: TaskQueue;
  readonly trainingTimeoutMs: number;
  readonly approvalsRequired: number;
  readonly approvalsWithinMs: number;
  readonly startedBy: string;
  readonly audit: AuditRef;
}

export type SplitName = 'train' | 'validation' | 'holdout';

/** An immutable data set. `digest` is of its canonical rows and schema, so that reading the same source again gives it again. */
export interface SnapshotManifest {
  readonly schema: 'slipway.snapshot/1';
  readonly digest: Digest;
  readonly model: ModelName;
  readonly asOf: string;
  /** Parquet blobs: the declared columns under their own names, sorted by event time, then id. */
  readonly splits: Readonly<Record<SplitName, SnapshotSplit>>;
  readonly quarantine: {
    readonly rows: number;
    readonly blob: Digest | null;
    readonly reasons: Readonly<Record<string, number>>;
  };
  /** Rows that are good but belong to no split, by why: `outsideWindow`, `immature` (label not known when the next split began), `unlabelled`. */
  readonly leftOut: Readonly<Record<string, number>>;
  readonly profile: Digest;
}

export interface SnapshotSplit {
  readonly blob: Digest;
  readonly rows: number;
  readonly from: string | null;
  readonly to: string | null;
}

export interface IngestResult {
  /** Blob of the `SnapshotManifest`. */
  readonly manifest: Digest;
  readonly snapshot: Digest;
  readonly rows: Readonly<Record<SplitName | 'quarantined', number>>;
}

export interface TrainResult {
  /** As in `ImportedModel`. */
  readonly kind?: 'endpoint';
  readonly onnx: Digest;
  /** Blob of a `Signature`. */
  readonly signature: Digest;
  readonly machineClass: string;
  readonly trainer: string;
  readonly epochs: number;
  readonly resumedFromEpoch: number;
}

/** Metrics of several scorers on the same holdout rows, and by day for resampling. Blob; approvers sign its digest. */
export interface EvidenceDocument {
  readonly schema: 'slipway.evidence/1';
  readonly model: ModelName;
  readonly run: string;
  readonly onnx: Digest;
  readonly signature: Digest;
  readonly snapshot: Digest;
  readonly champion: { readonly version: number; readonly digest: Digest } | null;
  readonly rows: number;
  readonly days: number;
  readonly metrics: Readonly<Partial<Record<MetricName, ScorerMetrics>>>;
  /** Blob of the day rows the confidence bounds were resampled from. */
  readonly byDay: Digest;
  /** Of a binary task. */
  readonly calibration?: CalibrationEvidence;
  /** Filled in by `judgeGates`: a new blob, whose digest is what approvals name. */
  readonly gates: readonly GateResult[];
  /** Problems found on opening the model or comparing signatures; a gate turns them into an outcome. */
  readonly compatibility: readonly string[];
  /** Why the candidate has no metrics: scores that are not finite, or no probabilities. */
  readonly candidateUnscored?: string;
  /** Why a champion that serves could not be scored on these rows: an input that is not among the columns, or in another unit. */
  readonly championUnscored?: string;
}

/** How the map from scores to probabilities came out; its figures are of the holdout, which it was not fitted on. */
export interface CalibrationEvidence {
  readonly map: CalibrationMap | null;
  /** Why there is a map, or none. */
  readonly reason: string;
  /** Rows of the split that it was fitted on. */
  readonly rows: number;
  /** Null where nothing could be fitted, or scored. */
  readonly holdout: {
    readonly logLossRaw: number;
    readonly logLossCalibrated: number;
    readonly calibrationErrorRaw: number;
    readonly calibrationErrorCalibrated: number;
  } | null;
}

export interface ScorerMetrics {
  readonly candidate: number | null;
  readonly baseline: number | null;
  readonly champion: number | null;
  /** Lower confidence bound of (candidate better than champion), resampled by day; null when not measurable. */
  readonly advantageLowerBound: number | null;
}

export interface EvaluateResult {
  readonly evidence: Digest;
  readonly samples: Digest;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface JudgedGates {
  readonly passed: boolean;
  readonly gates: readonly GateResult[];
  /** Final evidence: what approvals name. */
  readonly evidence: Digest;
  readonly audit: AuditRef;
}

export const RUN_OUTCOMES = [
  'promoted',
  'gates-failed',
  'rejected',
  'expired',
  'rolled-back',
  'inconclusive',
  'cancelled',
  'refused',
  'failed',
] as const;
export type RunOutcome = (typeof RUN_OUTCOMES)[number];

export interface RunResult {
  readonly model: ModelName;
  readonly run: string;
  readonly outcome: RunOutcome;
  readonly detail: string;
  readonly version: number | null;
  /** Why a run failed or was refused; the CLI's exit code follows from it. */
  readonly code?: ErrorCode | null;
}

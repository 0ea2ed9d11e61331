import type { AuditRef } from './audit';
import type { Digest } from './digest';
import type { Cause, ModelName } from './names';
import type { ServingSpec } from './serving';
import type { CalibrationMap, NoCalibration } from './statistics/calibration-map';
import type { Clock, DatePart, FeatureType, InvalidInputPolicy, Task } from './spec';

/** Names one release everywhere: the digest is of the manifest's canonical JSON. */
export interface ReleaseRef {
  readonly model: ModelName;
  readonly version: number;
  readonly digest: Digest;
}

/** V2 datatypes that a served graph may take. */
export type TensorType = 'FP32' | 'INT64' | 'BYTES' | 'BOOL';

export const TENSOR_TYPE_OF: Readonly<Record<FeatureType, TensorType>> = {
  number: 'FP32',
  integer: 'INT64',
  timestamp: 'INT64',
  category: 'BYTES',
  boolean: 'BOOL',
};

/** One input of the model's ABI: a tensor of shape [rows, 1] named as the feature. Missing is NaN, or an empty BYTES. */
export interface InputSignature {
  readonly name: string;
  readonly type: FeatureType;
  readonly datatype: TensorType;
  readonly unit: string;
  readonly range: readonly [number, number] | null;
  readonly values: readonly string[] | null;
  readonly nullable: boolean;
  readonly parts: readonly DatePart[];
  readonly onInvalid: InvalidInputPolicy;
}

/** The model ABI. The one output is FP32 [rows, 1]: P(label = 1) for `binary`, the value for `regression`. */
export interface Signature {
  readonly task: Task;
  readonly inputs: readonly InputSignature[];
  readonly output: { readonly name: string; readonly datatype: 'FP32' };
}

/** Where a model came from; enough to make it again on the same machine class. */
export interface Lineage {
  readonly run: string;
  readonly cause: Cause;
  readonly commit: string;
  readonly spec: Digest;
  readonly snapshot: Digest | null;
  readonly seed: number;
  readonly trainer: string;
  readonly machineClass: string;
  readonly startedBy: string;
}

export interface ReleaseManifest {
  readonly schema: 'slipway.release/1';
  readonly workspace: string;
  readonly model: ModelName;
  readonly version: number;
  readonly run: string;
  /** Absent: an ONNX graph. `endpoint`: a server that exists; then `onnx` is the digest of its descriptor, which says how it is asked. */
  readonly kind?: 'endpoint';
  readonly onnx: Digest;
  readonly onnxBytes: number;
  readonly signature: Signature;
  readonly metrics: Readonly<Record<string, number>>;
  /** From scores to probabilities, or why not; absent of a regression, and of releases older than maps. */
  readonly calibration?: CalibrationMap | NoCalibration;
  readonly lineage: Lineage;
  /** Digest of the evidence document that gates and approvers saw. */
  readonly evidence: Digest;
  readonly profile: Digest | null;
  /** Warm-up and self-test rows with the outputs they must give: blob of `SampleRows`. */
  readonly samples: Digest;
  readonly modelCard: Digest;
  readonly clock: Clock;
  readonly serving: ServingSpec;
  readonly spec: Digest;
  readonly approvalsRequired: number;
  /** False where its workspace's policy was not one for production, or nobody had to approve it; such a release never serves elsewhere. */
  readonly production: boolean;
  readonly audit: AuditRef;
}

/** Why a release is not for production, for people. */
export function whyNotForProduction({ approvalsRequired }: Pick<ReleaseManifest, 'approvalsRequired'>): string {
  return approvalsRequired === 0 ? 'nobody had to approve it' : 'it was registered under a development policy';
}

/** Rows by feature name, as a caller would send them, with the expected output of each. */
export interface SampleRows {
  readonly rows: readonly Readonly<Record<string, string | number | boolean | null>>[];
  readonly outputs: readonly number[];
}

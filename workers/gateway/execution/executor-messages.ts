import type { TensorType } from '../../../workflows/domain/release';

/** What an inference thread needs to know of a graph to build its tensors. */
export interface SessionInputs {
  readonly inputs: readonly { readonly name: string; readonly datatype: TensorType }[];
  readonly output: string;
}

/**
 * One batch: per datatype one array that holds the inputs of that type one after the other, `rows` values each, in the order
 * of the session's inputs. INT64 travel as doubles (all accepted values are exact) since a BigInt each costs more.
 */
export interface PackedBatch {
  readonly rows: number;
  readonly floats: Float32Array;
  readonly integers: Float64Array;
  readonly booleans: Uint8Array;
  readonly strings: readonly string[];
}

export type ThreadRequest =
  | { readonly kind: 'load'; readonly session: number; readonly path: string; readonly inputs: SessionInputs }
  | { readonly kind: 'unload'; readonly session: number }
  | { readonly kind: 'run'; readonly runs: readonly RunRequest[] };

export interface RunRequest {
  readonly session: number;
  readonly batch: PackedBatch;
}

export interface RunResult {
  readonly output: Float32Array | null;
  /** What the inference itself took. */
  readonly ms: number;
  readonly error: string | null;
}

/** A thread answers `load` and `run` in the order they came. */
export type ThreadReply =
  | { readonly kind: 'loaded'; readonly session: number; readonly error: string | null }
  /** For each of the runs, in their order, as it ends. */
  | { readonly kind: 'ran'; readonly result: RunResult };

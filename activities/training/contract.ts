/**
 * The file contract of docs/training.md, between Slipway and any trainer; the built-in one keeps it too. Paths are below the
 * folders that the environment names.
 */
export const CONTRACT = {
  /** Folder with the files below; read-only by agreement. */
  input: 'SLIPWAY_INPUT',
  output: 'SLIPWAY_OUTPUT',
  /** Holds the newest checkpoint of an earlier attempt, if there is one; new ones go here too. */
  checkpoints: 'SLIPWAY_CHECKPOINTS',
  seed: 'SLIPWAY_SEED',
  model: 'SLIPWAY_MODEL',
  run: 'SLIPWAY_RUN',
} as const;

export const FILES = {
  spec: 'spec.json',
  signature: 'signature.json',
  train: 'train.parquet',
  validation: 'validation.parquet',
  onnx: 'model.onnx',
  metrics: 'metrics.json',
} as const;

/** Left in the output folder by the built-in trainer only, for what it refuses in words of its own: they are shown, its output is not. */
export const BUILTIN_FAILURE = 'failure.txt';

/** What a trainer may print as `{"progress": …}` on a line of its own. Everything is optional. */
export interface TrainerProgress {
  readonly epoch?: number;
  readonly trainLoss?: number;
  readonly validationLoss?: number;
  /** Name of a finished file in the checkpoint folder, which Slipway now keeps. It must have been renamed into place. */
  readonly checkpoint?: string;
}

/** `metrics.json`: numbers for people; `epochs` is shown with the run. */
export type TrainerMetrics = Readonly<Record<string, number>>;

import { Tensor } from 'onnxruntime-node';
import type { InferenceSession } from 'onnxruntime-node';
import type { Signature } from '../../workflows/domain/release';
import type { BuiltinTrainer, Task } from '../../workflows/domain/spec';
import { SlipwayError } from '../../workflows/domain/errors';
import { ROW_LOSSES } from '../../workflows/domain/statistics/metrics';
import { tensorsOf } from './feature-tensors';
import type { FeatureTable } from './feature-table';
import { featurisedWidths, featuriseGraph } from './featurise-graph';
import { decayMask, initialParameters } from './network';
import type { NetworkShape } from './network';
import { shuffled, streamOf } from './random';
import { servedGraph, withUnseenSlots } from './served-graph';
import type { FittedModel, TargetScale } from './served-graph';
import { openSession } from './session';
import type { TrainerState } from './trainer-state';
import { forwardGraph, trainingGraph } from './training-graph';
import { fitTransforms } from './transforms';
import type { TransformPlan } from './transforms';

export interface LabelledTable {
  readonly table: FeatureTable;
  readonly labels: Float64Array;
}

export interface FitInput {
  readonly signature: Signature;
  readonly trainer: BuiltinTrainer;
  readonly seed: number;
  readonly train: LabelledTable;
  /** Early stopping looks at this one; without rows, at the training loss. */
  readonly validation: LabelledTable;
  readonly resume: TrainerState | null;
  readonly onEpoch: (state: TrainerState, losses: EpochLosses) => void;
}

/** Mean log loss in nats, or mean squared error of the standardised target over two. */
export interface EpochLosses {
  readonly train: number;
  readonly validation: number;
}

export interface FitResult {
  readonly onnx: Uint8Array;
  readonly epochs: number;
  readonly bestEpoch: number;
  readonly validationLoss: number;
}

/** Rows that are featurised or scored in one run: bounds the memory of what is in between. */
const CHUNK_ROWS = 65_536;
/** The rate falls linearly to this share of itself at the last epoch, which settles the weights. */
const LAST_RATE = 0.1;

/**
 * Trains with the training graph, epoch by epoch, and returns the served graph of the best epoch. Equal input gives equal
 * bytes on one machine class, whether or not it was resumed (invariant I8). Throws SlipwayError TRAINING_FAILED when the loss diverges.
 */
export async function fitModel(input: FitInput): Promise<FitResult> {
  const plan = fitTransforms(input.signature.inputs, input.train.table, { cyclicHours: input.trainer.kind === 'mlp' });
  const shape = shapeOf(input, plan);
  const target = targetScale(input.signature.task, input.train.labels);
  const featurise = await openSession(featuriseGraph(plan));
  const train = await featuriseRows(featurise, input, input.train, target);
  const validation = await featuriseRows(featurise, input, input.validation, target);
  const sessions = { train: await openSession(trainingGraph(shape)), forward: await openSession(forwardGraph(shape)) };
  let state = input.resume ?? firstState(shape, input);
  while (!isDone(state, input.trainer)) {
    const { next, trainLoss } = await runEpoch(sessions.train, shape, input, train, state);
    const completed = withUnseenSlots(shape, plan.groups, next.theta);
    const loss = validation.rows > 0 ? await lossOf(sessions.forward, shape, completed, validation) : trainLoss;
    if (!Number.isFinite(loss) || !Number.isFinite(trainLoss)) {
      throw new SlipwayError(
        'TRAINING_FAILED',
        `the loss is ${loss} after epoch ${next.epoch}: lower training.learningRate, or look for extreme values in the data`,
      );
    }
    state = { ...next, best: loss < state.best.loss ? { epoch: next.epoch, loss, theta: next.theta } : state.best };
    input.onEpoch(state, { train: trainLoss, validation: loss });
  }
  const fitted: FittedModel = {
    signature: input.signature,
    plan,
    shape,
    target,
    theta: withUnseenSlots(shape, plan.groups, state.best.theta),
  };
  return {
    onnx: servedGraph(fitted),
    epochs: state.epoch,
    bestEpoch: state.best.epoch,
    validationLoss: state.best.loss,
  };
}

function shapeOf(input: FitInput, plan: TransformPlan): NetworkShape {
  const { kind, hidden, embedding } = input.trainer;
  return { task: input.signature.task, ...featurisedWidths(plan), hidden: kind === 'mlp' ? hidden : [], embedding };
}

function isDone(state: TrainerState, trainer: BuiltinTrainer): boolean {
  return state.epoch >= trainer.epochs || (trainer.patience > 0 && state.epoch - state.best.epoch >= trainer.patience);
}

function targetScale(task: Task, labels: Float64Array): TargetScale {
  if (task === 'binary') return { mean: 0, deviation: 1 };
  const mean = meanOf(labels);
  const deviation = Math.sqrt(meanOf(labels.map((label) => (label - mean) ** 2)));
  return { mean, deviation: deviation > 0 ? deviation : 1 };
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
}

/** Begins by predicting the mean: the logit of the base rate, or 0 of the standardised target. */
function firstState(shape: NetworkShape, input: FitInput): TrainerState {
  const rate = Math.min(Math.max(meanOf(input.train.labels), 1e-6), 1 - 1e-6);
  const bias = shape.task === 'binary' ? Math.log(rate / (1 - rate)) : 0;
  const theta = initialParameters(shape, bias, streamOf(input.seed, 0));
  const zeros = new Float32Array(theta.length);
  return {
    epoch: 0,
    theta,
    m: zeros,
    v: zeros,
    powers: Float32Array.of(1, 1),
    best: { epoch: 0, loss: Number.MAX_VALUE, theta },
  };
}

interface FeaturisedRows {
  readonly rows: number;
  readonly dense: Float32Array;
  readonly ids: BigInt64Array;
  readonly y: Float32Array;
}

async function featuriseRows(
  session: InferenceSession,
  input: FitInput,
  { table, labels }: LabelledTable,
  target: TargetScale,
): Promise<FeaturisedRows> {
  const dense: Float32Array[] = [];
  const ids: BigInt64Array[] = [];
  for (let from = 0; from < table.rows; from += CHUNK_ROWS) {
    const out = await session.run(
      tensorsOf(table, input.signature.inputs, from, Math.min(from + CHUNK_ROWS, table.rows)),
    );
    dense.push(out['dense']!.data as Float32Array);
    ids.push(out['ids']!.data as BigInt64Array);
  }
  const y = Float32Array.from(labels, (label) => (label - target.mean) / target.deviation);
  return { rows: table.rows, dense: join(dense, Float32Array), ids: join(ids, BigInt64Array), y };
}

function join<A extends Float32Array | BigInt64Array>(parts: readonly A[], type: new (length: number) => A): A {
  const whole = new type(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part as Float32Array & BigInt64Array, at);
    at += part.length;
  }
  return whole;
}

async function runEpoch(
  session: InferenceSession,
  shape: NetworkShape,
  input: FitInput,
  data: FeaturisedRows,
  state: TrainerState,
): Promise<{ next: Omit<TrainerState, 'best'>; trainLoss: number }> {
  const { trainer, seed } = input;
  // The rows that do not fill a last batch are others in each epoch.
  const batch = Math.min(trainer.batchSize, data.rows);
  const batches = Math.floor(data.rows / batch);
  const rate = trainer.learningRate * (1 - ((1 - LAST_RATE) * state.epoch) / Math.max(trainer.epochs - 1, 1));
  const vector = (values: Float32Array): Tensor => new Tensor('float32', values, [values.length]);
  const scalar = (value: number): Tensor => new Tensor('float32', [value], []);
  const out = await session.run({
    theta: vector(state.theta),
    m: vector(state.m),
    v: vector(state.v),
    powers: vector(state.powers),
    order: new Tensor('int32', shuffled(data.rows, batches * batch, streamOf(seed, 1, state.epoch)), [batches, batch]),
    ...inputTensors(shape, data, 0, data.rows),
    y: new Tensor('float32', data.y, [data.rows, 1]),
    rate: scalar(rate),
    decay: scalar(trainer.l2),
    mask: vector(decayMask(shape)),
  });
  const floats = (name: string): Float32Array => out[name]!.data as Float32Array;
  const next = {
    epoch: state.epoch + 1,
    theta: floats('theta_out'),
    m: floats('m_out'),
    v: floats('v_out'),
    powers: floats('powers_out'),
  };
  return { next, trainLoss: meanOf(Float64Array.from(floats('losses'))) };
}

function inputTensors(
  shape: NetworkShape,
  data: FeaturisedRows,
  from: number,
  to: number,
): Record<'dense' | 'ids', Tensor> {
  return {
    dense: new Tensor('float32', data.dense.subarray(from * shape.dense, to * shape.dense), [to - from, shape.dense]),
    ids: new Tensor('int64', data.ids.subarray(from * shape.idColumns, to * shape.idColumns), [
      to - from,
      shape.idColumns,
    ]),
  };
}

async function lossOf(
  session: InferenceSession,
  shape: NetworkShape,
  theta: Float32Array,
  data: FeaturisedRows,
): Promise<number> {
  const lossOfRow =
    shape.task === 'binary'
      ? (z: number, y: number) => ROW_LOSSES.logLoss(1 / (1 + Math.exp(-z)), y)
      : (z: number, y: number) => ROW_LOSSES.squaredError(z, y) / 2;
  let sum = 0;
  for (let from = 0; from < data.rows; from += CHUNK_ROWS) {
    const to = Math.min(from + CHUNK_ROWS, data.rows);
    const out = await session.run({
      theta: new Tensor('float32', theta, [theta.length]),
      ...inputTensors(shape, data, from, to),
    });
    const z = out['z']!.data as Float32Array;
    for (let row = 0; row < z.length; row += 1) sum += lossOfRow(z[row]!, data.y[from + row]!);
  }
  return sum / data.rows;
}

import type { Task } from '../../workflows/domain/spec';
import type { GraphBuilder } from './graph-builder';
import type { RandomSource } from './random';

/**
 * A linear part over dense columns and one weight per category slot, and, with hidden layers, a deep part over dense
 * columns and category embeddings; their sum is the logit, or the standardised target ("wide and deep", Cheng et al. 2016).
 * Without hidden layers it is logistic or linear regression on one-hot categories.
 */
export interface NetworkShape {
  readonly task: Task;
  /** Columns of the dense input. */
  readonly dense: number;
  /** Columns of the id input, and rows of the one table that all of them point into. */
  readonly idColumns: number;
  readonly tableRows: number;
  readonly hidden: readonly number[];
  readonly embedding: number;
}

/** One parameter inside the flat vector; `decay` says whether weight decay pulls on it. */
export interface Segment {
  readonly name: string;
  readonly dims: readonly number[];
  readonly size: number;
  readonly decay: boolean;
  /** Initial values are uniform in [-spread, spread]. */
  readonly spread: number;
}

/** Parameters in the order of the flat vector. */
export function segmentsOf(shape: NetworkShape): readonly Segment[] {
  const segment = (name: string, dims: readonly number[], decay: boolean, spread: number): Segment => ({
    name,
    dims,
    size: dims.reduce((a, b) => a * b, 1),
    decay,
    spread,
  });
  const wide = [
    segment('wide', [shape.dense, 1], true, 0),
    segment('slots', [shape.tableRows, 1], true, 0),
    segment('bias', [1], false, 0),
  ];
  if (shape.hidden.length === 0) return wide;
  const widths = [shape.dense + shape.idColumns * shape.embedding, ...shape.hidden];
  const layers = shape.hidden.flatMap((width, layer) => {
    const incoming = widths[layer]!;
    // He et al. 2015: variance 2 / incoming keeps the scale of rectified layers.
    return [
      segment(`weights${layer}`, [incoming, width], true, Math.sqrt(6 / incoming)),
      segment(`bias${layer}`, [width], false, 0),
    ];
  });
  const last = widths.at(-1)!;
  return [
    ...wide,
    segment('embeddings', [shape.tableRows, shape.embedding], true, 0.1),
    ...layers,
    segment('top', [last, 1], true, Math.sqrt(3 / last)),
  ];
}

export function parameterCount(shape: NetworkShape): number {
  return segmentsOf(shape).reduce((sum, { size }) => sum + size, 0);
}

/** Starting point: seeded noise, and `bias` (the logit or value of predicting the mean). */
export function initialParameters(shape: NetworkShape, bias: number, random: RandomSource): Float32Array {
  const values = segmentsOf(shape).flatMap(({ name, size, spread }) =>
    Array.from({ length: size }, () => (name === 'bias' ? bias : spread === 0 ? 0 : (2 * random() - 1) * spread)),
  );
  return Float32Array.from(values);
}

/** 1 where weight decay pulls, 0 elsewhere, as long as the flat vector. */
export function decayMask(shape: NetworkShape): Float32Array {
  return Float32Array.from(
    segmentsOf(shape).flatMap(({ size, decay }) => Array.from({ length: size }, () => (decay ? 1 : 0))),
  );
}

export type Parameters = Readonly<Record<string, string>>;

/** Cuts a flat parameter value of a graph into its named pieces. */
export function splitParameters(builder: GraphBuilder, shape: NetworkShape, flat: string): Parameters {
  const segments = segmentsOf(shape);
  const pieces = builder.ops('Split', segments.length, [flat, builder.int64s(segments.map(({ size }) => size))], {
    axis: 0,
  });
  return Object.fromEntries(
    segments.map(({ name, dims }, index) => [name, builder.op('Reshape', [pieces[index]!, builder.int64s(dims)])]),
  );
}

/** Values of the forward pass that the backward pass needs. */
export interface Forward {
  /** [n, 1]: logit, or standardised prediction. */
  readonly z: string;
  /** Input of the deep part and the output of each of its layers. */
  readonly activations: readonly string[];
}

export function addForward(
  builder: GraphBuilder,
  shape: NetworkShape,
  parameters: Parameters,
  dense: string,
  ids: string,
): Forward {
  const slots = builder.op('ReduceSum', [builder.op('Gather', [parameters['slots']!, ids]), builder.int64s([1])], {
    keepdims: 0,
  });
  const linear = builder.op('Add', [builder.op('Gemm', [dense, parameters['wide']!, parameters['bias']!]), slots]);
  if (shape.hidden.length === 0) return { z: linear, activations: [] };
  const gathered = builder.op('Gather', [parameters['embeddings']!, ids]);
  const embedded = builder.op('Reshape', [gathered, builder.int64s([-1, shape.idColumns * shape.embedding])]);
  const activations = [builder.op('Concat', [dense, embedded], { axis: 1 })];
  for (const layer of shape.hidden.keys()) {
    const sum = builder.op('Gemm', [activations.at(-1)!, parameters[`weights${layer}`]!, parameters[`bias${layer}`]!]);
    activations.push(builder.op('Relu', [sum]));
  }
  return { z: builder.op('Add', [linear, builder.op('Gemm', [activations.at(-1)!, parameters['top']!])]), activations };
}

/** Mean loss (scalar) and its derivative by z, [n, 1]: log loss of the logit, or half the squared error. */
export function addLoss(
  builder: GraphBuilder,
  task: Task,
  z: string,
  y: string,
): { readonly loss: string; readonly dz: string } {
  const rows = builder.op('Cast', [builder.op('Gather', [builder.op('Shape', [z]), builder.int64s([0], [])])], {
    to: 1,
  });
  const error = builder.op('Sub', [task === 'binary' ? builder.op('Sigmoid', [z]) : z, y]);
  const each =
    task === 'binary'
      ? builder.op('Sub', [builder.op('Softplus', [z]), builder.op('Mul', [y, z])])
      : builder.op('Mul', [builder.op('Mul', [error, error]), builder.floats([0.5], [])]);
  return { loss: builder.op('ReduceMean', [each], { keepdims: 0 }), dz: builder.op('Div', [error, rows]) };
}

/** Derivative of the loss by the flat parameter vector. */
export function addBackward(
  builder: GraphBuilder,
  shape: NetworkShape,
  parameters: Parameters,
  forward: Forward,
  inputs: { readonly dense: string; readonly ids: string; readonly dz: string },
): string {
  const { dense, ids, dz } = inputs;
  const rowIds = builder.op('Reshape', [ids, builder.int64s([-1, 1])]);
  const perId = builder.op('Expand', [
    builder.op('Unsqueeze', [dz, builder.int64s([1])]),
    builder.int64s([1, shape.idColumns, 1]),
  ]);
  const gradients: Record<string, string> = {
    wide: builder.op('Gemm', [dense, dz], { transA: 1 }),
    slots: scatter(builder, rowIds, builder.op('Reshape', [perId, builder.int64s([-1, 1])]), [shape.tableRows, 1]),
    bias: sumRows(builder, dz),
  };
  if (shape.hidden.length > 0) addDeepBackward(builder, shape, parameters, forward, { rowIds, dz }, gradients);
  const flat = segmentsOf(shape).map(({ name }) => builder.op('Reshape', [gradients[name]!, builder.int64s([-1])]));
  return builder.op('Concat', flat, { axis: 0 });
}

function addDeepBackward(
  builder: GraphBuilder,
  shape: NetworkShape,
  parameters: Parameters,
  forward: Forward,
  inputs: { readonly rowIds: string; readonly dz: string },
  gradients: Record<string, string>,
): void {
  gradients['top'] = builder.op('Gemm', [forward.activations.at(-1)!, inputs.dz], { transA: 1 });
  let flowing = builder.op('Gemm', [inputs.dz, parameters['top']!], { transB: 1 });
  for (let layer = shape.hidden.length - 1; layer >= 0; layer -= 1) {
    const open = builder.op('Greater', [forward.activations[layer + 1]!, builder.floats([0], [])]);
    const through = builder.op('Mul', [flowing, builder.op('Cast', [open], { to: 1 })]);
    gradients[`weights${layer}`] = builder.op('Gemm', [forward.activations[layer]!, through], { transA: 1 });
    gradients[`bias${layer}`] = sumRows(builder, through);
    flowing = builder.op('Gemm', [through, parameters[`weights${layer}`]!], { transB: 1 });
  }
  const [, embedded] = builder.ops(
    'Split',
    2,
    [flowing, builder.int64s([shape.dense, shape.idColumns * shape.embedding])],
    { axis: 1 },
  );
  const updates = builder.op('Reshape', [embedded!, builder.int64s([-1, shape.embedding])]);
  gradients['embeddings'] = scatter(builder, inputs.rowIds, updates, [shape.tableRows, shape.embedding]);
}

/** Sum of the rows of `updates` by their id. One thread adds in row order, so the sum is the same each time. */
function scatter(builder: GraphBuilder, rowIds: string, updates: string, dims: readonly number[]): string {
  const zeros = builder.floats(new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);
  return builder.op('ScatterND', [zeros, rowIds, updates], { reduction: 'add' });
}

function sumRows(builder: GraphBuilder, value: string): string {
  return builder.op('ReduceSum', [value, builder.int64s([0])], { keepdims: 0 });
}

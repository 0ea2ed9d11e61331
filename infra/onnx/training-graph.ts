import { GraphBuilder } from './graph-builder';
import { addBackward, addForward, addLoss, parameterCount, splitParameters } from './network';
import type { NetworkShape } from './network';

/** Kingma and Ba 2015; decay is decoupled from the gradient (Loshchilov and Hutter 2019), so that it does not grow for rare categories. */
const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/**
 * One epoch as one graph: `Scan` over minibatches of forward, backward and Adam. Inputs: `theta m v` [P], `powers` [2] (β₁ᵗ, β₂ᵗ; ones at
 * the start), `order` INT32 [batches, batch] (rows of each minibatch), `dense` [N, D], `ids` INT64 [N, C], `y` [N, 1],
 * `rate` and `decay` scalars, `mask` [P]. Outputs: `theta_out m_out v_out powers_out` and `losses` [batches].
 */
export function trainingGraph(shape: NetworkShape): Uint8Array {
  const builder = new GraphBuilder();
  const size = parameterCount(shape);
  const states = stateShapes(size).map(([name, dims]) => builder.input(name, 'float', dims));
  const order = builder.input('order', 'int32', ['batches', 'batch']);
  builder.input('dense', 'float', ['N', shape.dense]);
  builder.input('ids', 'int64', ['N', shape.idColumns]);
  builder.input('y', 'float', ['N', 1]);
  builder.input('rate', 'float', []);
  builder.input('decay', 'float', []);
  builder.input('mask', 'float', [size]);
  const results = builder.ops('Scan', 5, [...states, order], { body: batchBody(shape), num_scan_inputs: 1 });
  for (const [index, [name, dims]] of stateShapes(size).entries())
    builder.output(results[index]!, 'float', dims, `${name}_out`);
  builder.output(results[4]!, 'float', ['batches'], 'losses');
  return builder.modelBytes('slipway-training');
}

const stateShapes = (size: number): readonly (readonly [string, readonly number[]])[] => [
  ['theta', [size]],
  ['m', [size]],
  ['v', [size]],
  ['powers', [2]],
];

function batchBody(shape: NetworkShape): GraphBuilder {
  const body = new GraphBuilder('b_');
  const size = parameterCount(shape);
  const [theta, m, v, powers] = stateShapes(size).map(([name, dims]) => body.input(`b_${name}`, 'float', dims)) as [
    string,
    string,
    string,
    string,
  ];
  const rows = body.input('b_order', 'int32', ['batch']);
  const [dense, ids, y] = ['dense', 'ids', 'y'].map((name) => body.op('Gather', [name, rows])) as [
    string,
    string,
    string,
  ];
  const { loss, gradient } = addLossAndGradient(body, shape, { theta, dense, ids, y });
  const stepped = addAdam(body, { theta, m, v, powers, gradient });
  for (const [index, [name, dims]] of stateShapes(size).entries())
    body.output(stepped[index]!, 'float', dims, `b_${name}_out`);
  body.output(loss, 'float', []);
  return body;
}

function addLossAndGradient(
  builder: GraphBuilder,
  shape: NetworkShape,
  values: { theta: string; dense: string; ids: string; y: string },
): { loss: string; gradient: string } {
  const parameters = splitParameters(builder, shape, values.theta);
  const forward = addForward(builder, shape, parameters, values.dense, values.ids);
  const { loss, dz } = addLoss(builder, shape.task, forward.z, values.y);
  return {
    loss,
    gradient: addBackward(builder, shape, parameters, forward, { dense: values.dense, ids: values.ids, dz }),
  };
}

function addAdam(
  body: GraphBuilder,
  state: { theta: string; m: string; v: string; powers: string; gradient: string },
): string[] {
  const scalar = (value: number): string => body.floats([value], []);
  const blend = (old: string, rate: number, fresh: string): string =>
    body.op('Add', [body.op('Mul', [old, scalar(rate)]), body.op('Mul', [fresh, scalar(1 - rate)])]);
  const powers = body.op('Mul', [state.powers, body.floats([BETA1, BETA2], [2])]);
  const corrections = body.ops('Split', 2, [body.op('Sub', [scalar(1), powers]), body.int64s([1, 1])], { axis: 0 });
  const m = blend(state.m, BETA1, state.gradient);
  const v = blend(state.v, BETA2, body.op('Mul', [state.gradient, state.gradient]));
  const spread = body.op('Add', [body.op('Sqrt', [body.op('Div', [v, corrections[1]!])]), scalar(EPSILON)]);
  const direction = body.op('Div', [body.op('Div', [m, corrections[0]!]), spread]);
  const pull = body.op('Mul', [body.op('Mul', [state.theta, 'mask']), 'decay']);
  const step = body.op('Mul', [body.op('Add', [direction, pull]), 'rate']);
  return [body.op('Sub', [state.theta, step]), m, v, powers];
}

/** Scores for validation: `theta` [P], `dense`, `ids` to `z` [N, 1]. */
export function forwardGraph(shape: NetworkShape): Uint8Array {
  const builder = new GraphBuilder();
  const theta = builder.input('theta', 'float', [parameterCount(shape)]);
  const dense = builder.input('dense', 'float', ['N', shape.dense]);
  const ids = builder.input('ids', 'int64', ['N', shape.idColumns]);
  builder.output(
    addForward(builder, shape, splitParameters(builder, shape, theta), dense, ids).z,
    'float',
    ['N', 1],
    'z',
  );
  return builder.modelBytes('slipway-forward');
}

/** The loss and its gradient as the training graph has them; tests hold it against finite differences. */
export function gradientGraph(shape: NetworkShape): Uint8Array {
  const builder = new GraphBuilder();
  const theta = builder.input('theta', 'float', [parameterCount(shape)]);
  const dense = builder.input('dense', 'float', ['N', shape.dense]);
  const ids = builder.input('ids', 'int64', ['N', shape.idColumns]);
  const y = builder.input('y', 'float', ['N', 1]);
  const { loss, gradient } = addLossAndGradient(builder, shape, { theta, dense, ids, y });
  builder.output(loss, 'float', [], 'loss');
  builder.output(gradient, 'float', [parameterCount(shape)], 'gradient');
  return builder.modelBytes('slipway-gradient');
}

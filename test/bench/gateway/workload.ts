import { GraphBuilder } from '../../../infra/onnx/graph-builder';
import { streamOf } from '../../../infra/onnx/random';
import { feature } from '../../support/onnx/toy-data';
import { signatureOf } from '../../../workflows/domain/signature';
import type { Signature } from '../../../workflows/domain/release';

/** Rows that callers send in turn: enough that no server can answer from a cache of the last one. */
const ROWS = 64;
const RANGE = 4;
/** Every id has this many characters, so that the length of a body's JSON part is known before the id. */
export const ID_LENGTH = 16;

export type Row = readonly number[];

/** `before`, an id of ID_LENGTH characters, `after`. Latin-1 where it is binary. */
export interface Body {
  readonly before: Buffer;
  readonly after: Buffer;
}

export function featureNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `f${String(index).padStart(2, '0')}`);
}

export function signatureOfWidth(width: number): Signature {
  const range = [-2 * RANGE, 2 * RANGE] as const;
  return signatureOf({
    task: 'binary',
    features: featureNames(width).map((name) => feature(name, 'number', { range })),
  });
}

const HIDDEN = 64;

/** `width` -> 64 -> 2, ReLU between, softmax at the end: one matrix X [N, width] in, probabilities [N, 2] out. */
export function matrixModel(width: number, seed: number): Uint8Array {
  const graph = new GraphBuilder();
  graph.input('X', 'float', ['N', width]);
  graph.output(probabilities(graph, 'X', width, seed), 'float', ['N', 2], 'probabilities');
  return graph.modelBytes('bench');
}

/** The same layers behind one input for each feature, as the gateway serves them: score = P(label = 1). */
export function featureModel(width: number, seed: number): Uint8Array {
  const graph = new GraphBuilder();
  const inputs = featureNames(width).map((name) => graph.input(name, 'float', ['N', 1]));
  const both = probabilities(graph, graph.op('Concat', inputs, { axis: 1 }), width, seed);
  graph.output(graph.op('Gather', [both, graph.int64s([1])], { axis: 1 }), 'float', ['N', 1], 'score');
  return graph.modelBytes('bench');
}

function probabilities(graph: GraphBuilder, features: string, width: number, seed: number): string {
  const random = streamOf(seed, 7);
  const weights = (shape: readonly number[], scale: number): string =>
    graph.floats(
      Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => (random() * 2 - 1) * scale),
      shape,
    );
  const dense = (value: string, from: number, to: number): string =>
    graph.op('Gemm', [value, weights([from, to], 1 / Math.sqrt(from)), weights([to], 0.1)]);
  const logits = dense(graph.op('Relu', [dense(features, width, HIDDEN)]), HIDDEN, 2);
  return graph.op('Softmax', [logits], { axis: 1 });
}

/** score = distance, after so many products of square matrices for every batch, however many rows it has. */
export function batchCostModel(rounds: number, size = 512): Uint8Array {
  return chainModel(rounds, size, (graph) => {
    const ones = graph.floats(new Float32Array(size * size).fill(1 / size), [size, size]);
    // Depends on the input, or the runtime would work it out once, when it opens the graph.
    return graph.op('Mul', [ones, graph.op('ReduceMean', ['distance'], { keepdims: 0 })]);
  });
}

/** score = distance, after matrix products whose number grows with the rows: a batch costs what its requests would cost alone. */
export function rowCostModel(rounds: number, size = 256): Uint8Array {
  return chainModel(rounds, size, (graph) => {
    const spread = graph.floats(new Float32Array(64 * size).fill(1), [1, 64 * size]);
    return graph.op('Reshape', [graph.op('Mul', ['distance', spread]), graph.int64s([-1, size])]);
  });
}

function chainModel(rounds: number, size: number, start: (graph: GraphBuilder) => string): Uint8Array {
  const graph = new GraphBuilder();
  graph.input('distance', 'float', ['N', 1]);
  const matrix = graph.floats(new Float32Array(size * size).fill(1 / size), [size, size]);
  let product = start(graph);
  for (let round = 0; round < rounds; round += 1) product = graph.op('MatMul', [product, matrix]);
  const none = graph.op('Mul', [graph.op('ReduceMean', [product], { keepdims: 0 }), graph.floats([0], [1])]);
  graph.output(graph.op('Add', ['distance', none]), 'float', ['N', 1], 'score');
  return graph.modelBytes('chain');
}

export const DISTANCE_SIGNATURE: Signature = {
  ...signatureOf({ task: 'regression', features: [feature('distance', 'number', { range: [0, 5_000] })] }),
};

export function rowsOfWidth(width: number, count = ROWS): Row[] {
  const random = streamOf(11, width);
  // Three decimals, as callers' numbers are: not seventeen digits.
  return Array.from({ length: count }, () =>
    Array.from({ length: width }, () => Math.round((random() * 2 - 1) * RANGE * 1_000) / 1_000),
  );
}

/** One tensor for each feature, as the gateway takes them. */
export function featureBody(names: readonly string[], rows: readonly Row[]): Body {
  const inputs = names.map((name, index) => ({
    name,
    datatype: 'FP32',
    shape: [rows.length, 1],
    data: rows.map((row) => row[index]!),
  }));
  return bodyAround({ inputs });
}

/** One matrix, as a model with one input takes it. */
export function matrixBody(rows: readonly Row[]): Body {
  return bodyAround({
    inputs: [{ name: 'X', datatype: 'FP32', shape: [rows.length, rows[0]!.length], data: rows.flat() }],
  });
}

/** The binary tensor extension of V2: a JSON part, then the tensors' little-endian bytes in their order. */
export function binaryBody(names: readonly string[], rows: readonly Row[]): BinaryBody {
  const tensors = names.map((name) => ({ name, shape: [rows.length, 1] }));
  return binaryTensors(
    tensors,
    names.flatMap((_, index) => rows.map((row) => row[index]!)),
  );
}

/** The same with one matrix. */
export function binaryMatrixBody(rows: readonly Row[]): BinaryBody {
  return binaryTensors([{ name: 'X', shape: [rows.length, rows[0]!.length] }], rows.flat());
}

export interface BinaryBody {
  readonly body: Body;
  /** What `Inference-Header-Content-Length` says: how long the JSON part is, with its id. */
  readonly headerBytes: number;
}

function binaryTensors(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
  values: readonly number[],
): BinaryBody {
  const inputs = tensors.map(({ name, shape }) => ({
    name,
    datatype: 'FP32',
    shape,
    parameters: { binary_data_size: 4 * shape.reduce((product, size) => product * size, 1) },
  }));
  const { before, after } = bodyAround({ inputs, parameters: { binary_data_output: true } });
  return {
    body: { before, after: Buffer.concat([after, Buffer.from(Float32Array.from(values).buffer)]) },
    headerBytes: before.length + ID_LENGTH + after.length,
  };
}

function bodyAround(members: object): Body {
  return { before: Buffer.from('{"id":"'), after: Buffer.from(`",${JSON.stringify(members).slice(1)}`) };
}

export function bodyWithId({ before, after }: Body, id: string): Buffer {
  return Buffer.concat([before, Buffer.from(id), after]);
}

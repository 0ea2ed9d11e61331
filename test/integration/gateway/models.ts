import { GraphBuilder } from '../../../infra/onnx/graph-builder';
import type { InputSignature, Signature } from '../../../workflows/domain/release';
import { TENSOR_TYPE_OF } from '../../../workflows/domain/release';

/** Small graphs whose every output can be worked out by hand. */

export function inputSignature(name: string, changes: Partial<InputSignature> = {}): InputSignature {
  const type = changes.type ?? 'number';
  return {
    name,
    type,
    datatype: TENSOR_TYPE_OF[type],
    unit: '',
    range: null,
    values: null,
    nullable: false,
    parts: [],
    onInvalid: 'reject',
    ...changes,
  };
}

export function signatureWith(inputs: readonly InputSignature[]): Signature {
  return { task: 'regression', inputs, output: { name: 'score', datatype: 'FP32' } };
}

export const DISTANCE = inputSignature('distance', { unit: 'mi', range: [0, 5_000] });

/** score = distance * weight + bias. */
export function linearModel(
  weight: number,
  bias: number,
  inputs: readonly InputSignature[] = [DISTANCE],
): { onnx: Uint8Array; signature: Signature } {
  const graph = new GraphBuilder();
  for (const { name, datatype } of inputs) {
    graph.input(
      name,
      datatype === 'FP32' ? 'float' : datatype === 'INT64' ? 'int64' : datatype === 'BOOL' ? 'bool' : 'string',
      ['n', 1],
    );
  }
  const product = graph.op('Mul', ['distance', graph.floats([weight], [1])]);
  graph.output(graph.op('Add', [product, graph.floats([bias], [1])]), 'float', ['n', 1], 'score');
  return { onnx: graph.modelBytes('linear'), signature: signatureWith(inputs) };
}

/** Fails on every batch that holds a distance of `limit` or more: looks a value up beyond the end of a table. */
export function failingModel(limit: number, bias: number): { onnx: Uint8Array; signature: Signature } {
  const graph = new GraphBuilder();
  graph.input('distance', 'float', ['n', 1]);
  const step = graph.op('Cast', [graph.op('Floor', [graph.op('Div', ['distance', graph.floats([limit], [1])])])], {
    to: 7,
  });
  const looked = graph.op('Gather', [graph.floats([bias], [1]), step], { axis: 0 });
  graph.output(graph.op('Add', ['distance', looked]), 'float', ['n', 1], 'score');
  return { onnx: graph.modelBytes('failing'), signature: signatureWith([DISTANCE]) };
}

/** score = distance, after multiplying matrices for a while. */
export function slowModel(size: number, rounds: number): { onnx: Uint8Array; signature: Signature } {
  const graph = new GraphBuilder();
  graph.input('distance', 'float', ['n', 1]);
  const ones = graph.floats(new Float32Array(size * size).fill(1 / size), [size, size]);
  // Depends on the input, or the runtime would work it out once, when it opens the graph.
  const first = graph.op('ReduceMean', ['distance'], { keepdims: 0 });
  let product = graph.op('Mul', [ones, first]);
  for (let round = 0; round < rounds; round += 1) product = graph.op('MatMul', [product, ones]);
  const none = graph.op('Mul', [graph.op('ReduceMean', [product], { keepdims: 0 }), graph.floats([0], [1])]);
  graph.output(graph.op('Add', ['distance', none]), 'float', ['n', 1], 'score');
  return { onnx: graph.modelBytes('slow'), signature: signatureWith([DISTANCE]) };
}

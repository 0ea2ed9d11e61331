import { onnx } from 'onnx-proto';
import type { InputSignature, Signature } from '../../workflows/domain/release';
import { digestOf } from '../object-store/digest';
import type { Adaptation, Answer } from './adapt-plan';
import { MISSING_INT64 } from './feature-table';
import { ELEMENT_OF } from './featurise-graph';
import { ELEMENT, type Element, floatTensor, GraphBuilder, int64Tensor } from './graph-builder';
import type { ModelValue } from './model-file';

/** Names inside the given graph are put below this, so that a feature may be called like any of them. */
const INNER = 'model/';
/** For a graph that has nodes of `ai.onnx.ml` only, and so names no version of the main operators. */
const LEAST_OPSET = 13;

/**
 * The same model with the ABI of the signature: its inputs [rows, 1] are put side by side in front, and the score is taken out behind.
 * The graph between is not changed, only its names are. Deterministic; the digest of what it was made of is in its metadata.
 */
export function adaptGraph(
  bytes: Uint8Array,
  { matrix, answer }: Adaptation,
  inputs: readonly ModelValue[],
  signature: Signature,
): Uint8Array {
  const model = onnx.ModelProto.decode(bytes);
  const inner = model.graph!;
  renameValues(inner);
  const front = new GraphBuilder('slipway/in/');
  if (matrix) addMatrix(front, matrix, signature.inputs);
  else addInputs(front, inputs, signature.inputs);
  const back = new GraphBuilder('slipway/out/');
  addAnswer(back, answer, signature.output.name);
  const before = front.graph('front');
  const after = back.graph('back');
  const fixed = new Set((inner.initializer ?? []).map(({ name }) => name));
  inner.node = [...before.node!, ...(inner.node ?? []), ...after.node!];
  inner.input = [...before.input!, ...(inner.input ?? []).filter(({ name }) => fixed.has(name))];
  inner.output = after.output!;
  if (!model.opsetImport.some(({ domain }) => !domain || domain === 'ai.onnx'))
    model.opsetImport.push({ domain: '', version: LEAST_OPSET });
  model.metadataProps.push({ key: 'slipway.adaptedFrom', value: digestOf(bytes) });
  return onnx.ModelProto.encode(model).finish();
}

function addMatrix(builder: GraphBuilder, matrix: ModelValue, inputs: readonly InputSignature[]): void {
  const element: Element = matrix.datatype === 'INT64' ? 'int64' : matrix.datatype === 'FP64' ? 'double' : 'float';
  const columns = inputs.map((input) => {
    builder.input(input.name, ELEMENT_OF[input.datatype], ['N', 1]);
    return addColumn(builder, input, element);
  });
  builder.output(builder.op('Concat', columns, { axis: 1 }), element, ['N', inputs.length], INNER + matrix.name);
}

/** One feature as a column of the matrix; a missing integer is NaN there, as it is where models are trained on data frames. */
function addColumn(builder: GraphBuilder, input: InputSignature, element: Element): string {
  const cast = (value: string): string => builder.op('Cast', [value], { to: ELEMENT[element] });
  if (ELEMENT_OF[input.datatype] === element) return input.name;
  if (input.datatype !== 'INT64') return cast(input.name);
  const missing = builder.op('Equal', [input.name, constant(builder, int64Tensor([MISSING_INT64], []))]);
  const nan = cast(constant(builder, floatTensor(Float32Array.of(Number.NaN), [])));
  return builder.op('Where', [missing, nan, cast(input.name)]);
}

/** Before version 4 of the format a constant must be an input as well; a node needs to be none in any version. */
function constant(builder: GraphBuilder, value: onnx.ITensorProto): string {
  return builder.op('Constant', [], { value });
}

const WIDE: Readonly<Record<string, Element>> = { FP64: 'double', INT32: 'int32' };

function addInputs(builder: GraphBuilder, found: readonly ModelValue[], inputs: readonly InputSignature[]): void {
  for (const { name, datatype, shape } of found) {
    const input = inputs.find((candidate) => candidate.name === name)!;
    builder.input(name, ELEMENT_OF[input.datatype], shape.length === 1 ? ['N'] : ['N', 1]);
    const wide = WIDE[datatype];
    const value = wide === undefined ? name : builder.op('Cast', [name], { to: ELEMENT[wide] });
    builder.output(value, 'float', ['N', 1], INNER + name);
  }
}

function addAnswer(builder: GraphBuilder, { name, datatype, pick }: Answer, score: string): void {
  const given = INNER + name;
  const value = datatype === 'FP64' ? builder.op('Cast', [given], { to: ELEMENT.float }) : given;
  builder.output(addPick(builder, value, pick), 'float', ['N', 1], score);
}

function addPick(builder: GraphBuilder, value: string, pick: Answer['pick']): string {
  switch (pick) {
    case 'column':
      return builder.op('Identity', [value]);
    case 'vector':
      return builder.op('Reshape', [value, constant(builder, int64Tensor([-1, 1], [2]))]);
    case 'second':
      return builder.op('Gather', [value, constant(builder, int64Tensor([1], [1]))], { axis: 1 });
  }
}

/** One prefix for every name in every scope changes no meaning. The empty name, an operator's absent input, stays. */
function renameValues(graph: onnx.IGraphProto): void {
  const rename = (name: string | null | undefined): string => (name ? INNER + name : '');
  const named = [
    ...(graph.initializer ?? []),
    ...(graph.sparseInitializer ?? []).flatMap(({ values }) => (values ? [values] : [])),
    ...(graph.input ?? []),
    ...(graph.output ?? []),
    ...(graph.valueInfo ?? []),
  ];
  for (const value of named) value.name = rename(value.name);
  // Only a hint for quantising tools, by names.
  graph.quantizationAnnotation = [];
  for (const node of graph.node ?? []) {
    node.input = (node.input ?? []).map(rename);
    node.output = (node.output ?? []).map(rename);
    for (const { g, graphs } of node.attribute ?? [])
      for (const body of [g, ...(graphs ?? [])]) if (body) renameValues(body);
  }
}

import { onnx } from 'onnx-proto';
import { SlipwayError } from '../../workflows/domain/errors';
import { OperatorCheck } from './operators';

/** One input or output of a model file. `datatype` is a V2 datatype; null dimensions are free. */
export interface ModelValue {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly (number | null)[];
}

export interface ModelFile {
  readonly producer: string;
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
}

/** V2 datatypes by ONNX element type; what is not listed cannot be sent or answered. */
const DATATYPES: Readonly<Record<number, string>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
};
const EXTERNAL = 1;
const MAX_NESTING = 32;

/**
 * Reads a model file without running anything. Throws SlipwayError MODEL_UNREADABLE for what is no ONNX model, for external data
 * (a path or link out of the file: the digest would not cover it), for operators that are not served (see OperatorCheck), and for fixed
 * sizes beyond `maxElements`. Meant for a limited child.
 */
export function parseModelFile(bytes: Uint8Array, maxElements: number): ModelFile {
  const graph = decode(bytes);
  const fixed = new Set((graph.model.graph?.initializer ?? []).map(({ name }) => name));
  const inputs = (graph.model.graph?.input ?? []).filter(({ name }) => !fixed.has(name)).map(valueOf);
  const outputs = (graph.model.graph?.output ?? []).map(valueOf);
  if (outputs.length === 0) throw refused('it has no output');
  for (const value of [...inputs, ...outputs]) {
    const elements = value.shape.reduce<number>((product, size) => product * (size ?? 1), 1);
    if (elements > maxElements)
      throw refused(`${value.name} declares ${elements} values a row, more than ${maxElements}`);
  }
  // It is named in the run's result, whose size is bounded.
  return { producer: (graph.model.producerName ?? '').slice(0, 100), inputs, outputs };
}

function decode(bytes: Uint8Array): { model: onnx.IModelProto } {
  let model: onnx.IModelProto;
  try {
    model = onnx.ModelProto.decode(bytes);
  } catch (error) {
    throw refused(`it is not an ONNX file (${error instanceof Error ? error.message : String(error)})`);
  }
  if (!model.graph?.node?.length) throw refused('it holds no graph');
  const operators = new OperatorCheck(model.functions ?? []);
  checkGraph(model.graph, operators, 0);
  for (const training of model.trainingInfo ?? []) {
    if (training.algorithm) checkGraph(training.algorithm, operators, 0);
    if (training.initialization) checkGraph(training.initialization, operators, 0);
  }
  for (const definition of model.functions ?? []) checkNodes(definition.node ?? [], operators, 0);
  return { model };
}

/** Operators and data of a graph, and of those inside it. */
function checkGraph(graph: onnx.IGraphProto, operators: OperatorCheck, depth: number): void {
  if (depth > MAX_NESTING) throw refused(`its graphs nest deeper than ${MAX_NESTING}`);
  graph.initializer?.forEach(refuseExternalTensor);
  graph.sparseInitializer?.forEach(refuseExternalSparse);
  checkNodes(graph.node ?? [], operators, depth);
}

function checkNodes(nodes: readonly onnx.INodeProto[], operators: OperatorCheck, depth: number): void {
  for (const node of nodes) {
    const refusal = operators.refusal(node);
    if (refusal !== null) throw refused(refusal);
  }
  for (const attribute of nodes.flatMap((node) => node.attribute ?? [])) {
    for (const tensor of [attribute.t, ...(attribute.tensors ?? [])]) if (tensor) refuseExternalTensor(tensor);
    for (const sparse of [attribute.sparseTensor, ...(attribute.sparseTensors ?? [])])
      if (sparse) refuseExternalSparse(sparse);
    for (const graph of [attribute.g, ...(attribute.graphs ?? [])]) if (graph) checkGraph(graph, operators, depth + 1);
  }
}

function refuseExternalSparse(sparse: onnx.ISparseTensorProto): void {
  for (const tensor of [sparse.values, sparse.indices]) if (tensor) refuseExternalTensor(tensor);
}

function refuseExternalTensor(tensor: onnx.ITensorProto): void {
  if (Number(tensor.dataLocation ?? 0) === EXTERNAL || (tensor.externalData?.length ?? 0) > 0) {
    throw refused(`tensor ${tensor.name || '(unnamed)'} keeps its data outside the file`);
  }
}

function valueOf(value: onnx.IValueInfoProto): ModelValue {
  const tensor = value.type?.tensorType;
  const name = value.name ?? '';
  if (!tensor)
    throw refused(
      `${name} is not a tensor (a map or sequence cannot be served). Export the probabilities as a tensor: options={'zipmap': False} with skl2onnx, zipmap=False with onnxmltools`,
    );
  const shape = (tensor.shape?.dim ?? []).map((dim) =>
    dim.dimValue && Number(dim.dimValue) > 0 ? Number(dim.dimValue) : null,
  );
  return { name, datatype: DATATYPES[tensor.elemType ?? 0] ?? 'UNKNOWN', shape };
}

function refused(why: string): SlipwayError {
  return new SlipwayError('MODEL_UNREADABLE', `the model cannot be used: ${why}`);
}

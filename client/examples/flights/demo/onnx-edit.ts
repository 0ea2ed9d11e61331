import { onnx } from 'onnx-proto';

export function addNode(graph: onnx.IGraphProto, opType: string, input: string[], output: string): void {
  (graph.node ??= []).push(onnx.NodeProto.create({ opType, input, output: [output], name: `added_${output}` }));
}

/** A one-dimensional initializer. */
export function appendConstant(
  graph: onnx.IGraphProto,
  name: string,
  values: { int64: number[] } | { float: number[] },
): void {
  const tensor =
    'int64' in values
      ? { dataType: onnx.TensorProto.DataType.INT64, dims: [values.int64.length], int64Data: values.int64 }
      : { dataType: onnx.TensorProto.DataType.FLOAT, dims: [values.float.length], floatData: values.float };
  (graph.initializer ??= []).push(onnx.TensorProto.create({ name, ...tensor }));
}

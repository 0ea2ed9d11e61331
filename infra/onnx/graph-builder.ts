import { onnx } from 'onnx-proto';

/** ONNX operator sets that our graphs are written in (onnx 1.13 and later), known to every runtime since ORT 1.14. */
const OPSET = 17;
const ML_OPSET = 3;
const IR_VERSION = 8;

export const ELEMENT = {
  float: onnx.TensorProto.DataType.FLOAT,
  int32: onnx.TensorProto.DataType.INT32,
  int64: onnx.TensorProto.DataType.INT64,
  string: onnx.TensorProto.DataType.STRING,
  bool: onnx.TensorProto.DataType.BOOL,
  double: onnx.TensorProto.DataType.DOUBLE,
} as const;
export type Element = keyof typeof ELEMENT;

/** A number is a fixed dimension, a text a named free one. */
export type Shape = readonly (number | string)[];
export type Attribute =
  | number
  | { readonly float: number }
  | string
  | readonly number[]
  | readonly string[]
  | GraphBuilder
  | onnx.ITensorProto;

/**
 * Writes a graph node by node; every value is named by the text that the methods return. Names count up in the order of the
 * calls, so that the same calls give the same bytes (invariant I8).
 */
export class GraphBuilder {
  private readonly nodes: onnx.INodeProto[] = [];
  private readonly initializers: onnx.ITensorProto[] = [];
  private readonly inputs: onnx.IValueInfoProto[] = [];
  private readonly outputs: onnx.IValueInfoProto[] = [];

  /** `prefix` keeps the names of a body apart from those of the graph around it, which it may refer to. */
  constructor(private readonly prefix = '') {}

  input(name: string, element: Element, shape: Shape): string {
    this.inputs.push(valueInfo(name, element, shape));
    return name;
  }

  output(value: string, element: Element, shape: Shape, name = value): void {
    if (name !== value) this.node('Identity', [value], {}, [name]);
    this.outputs.push(valueInfo(name, element, shape));
  }

  constant(tensor: onnx.ITensorProto): string {
    const name = this.fresh('c', this.initializers.length);
    this.initializers.push({ ...tensor, name });
    return name;
  }

  floats(values: Iterable<number>, shape: readonly number[]): string {
    return this.constant(floatTensor(Float32Array.from(values), shape));
  }

  int64s(values: readonly (number | bigint)[], shape: readonly number[] = [values.length]): string {
    return this.constant(int64Tensor(values, shape));
  }

  /** One node with one output. */
  op(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): string {
    const output = this.fresh('v', this.nodes.length);
    this.node(type, inputs, attributes, [output], domain);
    return output;
  }

  /** One node with several outputs. */
  ops(
    type: string,
    count: number,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string[] {
    const outputs = Array.from({ length: count }, (_, index) => `${this.fresh('v', this.nodes.length)}_${index}`);
    this.node(type, inputs, attributes, outputs);
    return outputs;
  }

  graph(name: string): onnx.IGraphProto {
    return { name, node: this.nodes, initializer: this.initializers, input: this.inputs, output: this.outputs };
  }

  /** The model file. No time, path or random name is in it. */
  modelBytes(name: string): Uint8Array {
    const model = onnx.ModelProto.create({
      irVersion: IR_VERSION,
      producerName: 'slipway',
      opsetImport: [
        { domain: '', version: OPSET },
        { domain: 'ai.onnx.ml', version: ML_OPSET },
      ],
      graph: this.graph(name),
    });
    return onnx.ModelProto.encode(model).finish();
  }

  private node(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    outputs: readonly string[],
    domain = '',
  ): void {
    const attribute = Object.entries(attributes).map(([name, value]) => attributeProto(name, value));
    const name = this.fresh('n', this.nodes.length);
    this.nodes.push({ name, opType: type, domain, input: [...inputs], output: [...outputs], attribute });
  }

  /** Never the name of an input: a feature may be called `v0`. Inputs are declared first. */
  private fresh(kind: string, index: number): string {
    let name = `${this.prefix}${kind}${index}`;
    while (this.inputs.some((input) => input.name === name)) name += '_';
    return name;
  }
}

export function floatTensor(values: Float32Array, dims: readonly number[]): onnx.ITensorProto {
  return {
    dims: [...dims],
    dataType: ELEMENT.float,
    rawData: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  };
}

export function doubleTensor(values: readonly number[], dims: readonly number[]): onnx.ITensorProto {
  return { dims: [...dims], dataType: ELEMENT.double, rawData: new Uint8Array(Float64Array.from(values).buffer) };
}

export function int64Tensor(values: readonly (number | bigint)[], dims: readonly number[]): onnx.ITensorProto {
  return {
    dims: [...dims],
    dataType: ELEMENT.int64,
    rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
  };
}

function valueInfo(name: string, element: Element, shape: Shape): onnx.IValueInfoProto {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: ELEMENT[element], shape: { dim } } } };
}

function attributeProto(name: string, value: Attribute): onnx.IAttributeProto {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: Buffer.from(value) };
  if (value instanceof GraphBuilder) return { name, type: AttributeType.GRAPH, g: value.graph(name) };
  if (isTexts(value)) return { name, type: AttributeType.STRINGS, strings: value.map((text) => Buffer.from(text)) };
  if (Array.isArray(value)) return { name, type: AttributeType.INTS, ints: [...(value as readonly number[])] };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.TENSOR, t: value as onnx.ITensorProto };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string');
}

import { z } from 'zod';
import { SlipwayError } from '../../workflows/domain/errors';
import type { TensorType } from '../../workflows/domain/release';
import { answerInvalid, finiteScores, parseAnswer, shapeOf } from './answer-shape';
import type { EncodedCall, EndpointCodec, RawAnswer } from './codec';
import { type InputName, isMissing, refuseInfinite, refuseMissing, type Values } from './columns';
import type { V2Descriptor } from './descriptor';
import { binaryColumn, binaryElements, isNumeric, jsonElements } from './v2-tensors';

interface Tensor {
  readonly name: string;
  readonly datatype: TensorType;
  readonly shape: readonly number[];
  readonly bytes: () => Buffer;
  readonly data: () => unknown[];
}

const answerSchema = z.object({
  outputs: z.array(
    z.object({
      name: z.string(),
      datatype: z.string(),
      shape: z.array(z.int().min(0)),
      data: z.array(z.unknown()).optional(),
      parameters: z.object({ binary_data_size: z.int().min(0).optional() }).optional(),
    }),
  ),
});

type Output = z.output<typeof answerSchema>['outputs'][number];

/** `/v2/models/<model>`, with the version where one is named. */
export function v2Path({ model, version }: Pick<V2Descriptor, 'model' | 'version'>): string {
  const versioned = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`;
  return `/v2/models/${encodeURIComponent(model)}${versioned}`;
}

/**
 * The Open Inference Protocol V2: Triton, MLServer, KServe, another gateway of Slipway. Throws MODEL_SIGNATURE where a matrix cannot
 * carry the inputs.
 */
export function createV2Codec(descriptor: V2Descriptor, inputs: readonly InputName[]): EndpointCodec {
  const { binary, missing, form } = descriptor;
  if (form === 'matrix') refuseOutOfMatrix(inputs);
  // NaN is the one missing value that every server can be sent as it is, and bytes have it where JSON does not.
  const isMute = (datatype: TensorType): boolean =>
    missing === undefined && !(binary && (datatype === 'FP32' || form === 'matrix'));
  return {
    path: `${v2Path(descriptor)}/infer`,
    inputs,
    check: (columns, rows) => {
      refuseMissing(inputs, columns, rows, isMute);
      if (!binary) refuseInfinite(inputs, columns, rows);
    },
    encode: (columns, from, to) => {
      const tensors =
        form === 'matrix'
          ? [matrixOf(descriptor.input!, inputs, columns, from, to)]
          : inputs.map((input, at) => columnTensor(input, columns[at]!, from, to));
      return binary ? encodeBinary(descriptor.output, tensors) : encodeJson(descriptor.output, tensors);
    },
    decode: (answer, rows) => decode(descriptor, answer, rows),
  };
}

function refuseOutOfMatrix(inputs: readonly InputName[]): void {
  const unfit = inputs.filter(({ datatype, type }) => datatype === 'BYTES' || type === 'timestamp');
  if (unfit.length === 0) return;
  const names = unfit.map(({ name, type }) => `${name} (${type})`).join(', ');
  throw new SlipwayError('MODEL_SIGNATURE', `form: matrix takes numbers that an FP32 holds, not ${names}`);
}

function columnTensor({ name, datatype }: InputName, column: Values, from: number, to: number): Tensor {
  return {
    name,
    datatype,
    shape: [to - from, 1],
    bytes: () => binaryElements(datatype, column, from, to),
    data: () => jsonElements(datatype, column, from, to),
  };
}

/** Row by row, in the signature's order. */
function matrixOf(
  name: string,
  inputs: readonly InputName[],
  columns: readonly Values[],
  from: number,
  to: number,
): Tensor {
  const elements = new Float32Array((to - from) * inputs.length);
  let at = 0;
  for (let row = from; row < to; row += 1)
    for (let input = 0; input < inputs.length; input += 1) {
      const value = columns[input]![row] as number;
      elements[at++] = isMissing(value) ? NaN : value;
    }
  return {
    name,
    datatype: 'FP32',
    shape: [to - from, inputs.length],
    bytes: () => binaryElements('FP32', elements, 0, elements.length),
    data: () => jsonElements('FP32', elements, 0, elements.length),
  };
}

function encodeJson(output: string, tensors: readonly Tensor[]): EncodedCall {
  const inputs = tensors.map(({ name, datatype, shape, data }) => ({ name, datatype, shape, data: data() }));
  const body = Buffer.from(JSON.stringify({ inputs, outputs: [{ name: output }] }));
  return { headers: { 'content-type': 'application/json' }, body };
}

function encodeBinary(output: string, tensors: readonly Tensor[]): EncodedCall {
  const blocks = tensors.map(({ bytes }) => bytes());
  const inputs = tensors.map(({ name, datatype, shape }, at) => ({
    ...{ name, datatype, shape },
    parameters: { binary_data_size: blocks[at]!.length },
  }));
  const outputs = [{ name: output, parameters: { binary_data: true } }];
  const json = Buffer.from(JSON.stringify({ inputs, outputs }));
  return {
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(json.length) },
    body: Buffer.concat([json, ...blocks]),
  };
}

function decode(descriptor: V2Descriptor, answer: RawAnswer, rows: number): Float32Array {
  const jsonBytes = headerLength(answer);
  const parsed = answerSchema.safeParse(parseAnswer(answer.body.subarray(0, jsonBytes)));
  if (!parsed.success) throw answerInvalid('expected a V2 answer with outputs; found other JSON');
  const { outputs } = parsed.data;
  const output = outputs.find(({ name }) => name === descriptor.output);
  if (!output) throw answerInvalid(`expected an output named as in endpoint.yaml; found ${outputs.length} others`);
  const width = widthOf(output, rows, descriptor.column);
  const { column = 0 } = descriptor;
  const size = output.parameters?.binary_data_size;
  if (size === undefined) return finiteScores(jsonColumn(output, rows, width, column));
  const offset = outputs
    .slice(0, outputs.indexOf(output))
    .reduce((sum, { parameters }) => sum + (parameters?.binary_data_size ?? 0), jsonBytes);
  const bytes = answer.body.subarray(offset, offset + size);
  return finiteScores(binaryColumn(output.datatype, bytes, rows, width, column));
}

function headerLength({ body, jsonBytes }: RawAnswer): number {
  if (jsonBytes === null) return body.length;
  const length = Number(jsonBytes);
  if (/^\d+$/.test(jsonBytes) && length <= body.length) return length;
  throw answerInvalid('Inference-Header-Content-Length is no length of this answer');
}

/** Columns of the output. Of several, endpoint.yaml has to say which one is the score. */
function widthOf({ datatype, shape }: Output, rows: number, column: number | undefined): number {
  const width = shape.length === 1 ? 1 : shape[1];
  const isShaped = (shape.length === 1 || shape.length === 2) && shape[0] === rows && width !== undefined;
  if (isShaped && isNumeric(datatype) && (column === undefined ? width === 1 : column < width)) return width;
  const wanted =
    column === undefined || column === 0 ? `[${rows}] or [${rows}, 1]` : `[${rows}, ${column + 1} or more]`;
  const type = /^[A-Z0-9]{1,8}$/.test(datatype) ? datatype : 'another datatype';
  const which = column === undefined && isShaped ? '; say in endpoint.yaml which `column` is the score' : '';
  throw answerInvalid(`expected numbers of shape ${wanted}; found ${type} of shape [${shape.join(', ')}]${which}`);
}

/** V2 allows nested lists as well as flat ones. */
function jsonColumn({ data }: Output, rows: number, width: number, column: number): unknown[] {
  const flat = data?.flat();
  if (flat?.length !== rows * width) throw answerInvalid(`expected ${rows * width} values; found ${shapeOf(data)}`);
  return Array.from({ length: rows }, (_, row) => flat[row * width + column]);
}

import type { RequestLimits, V2Request, V2Tensor } from '../inference/protocol';
import {
  invalid,
  isObject,
  parseJsonObject,
  quote,
  readId,
  readInferRequest,
  readOutputs,
  readParameters,
  readTensorHeads,
  tooLarge,
} from '../inference/protocol';
import { type ByteRange, decodeTensor } from './binary-tensors';
import { checkJsonBounds } from './json-bounds';

/** Which outputs the caller wants as bytes. */
export interface OutputForm {
  readonly isBinary: (output: string) => boolean;
}

/** An inference request as it came over HTTP. `form` is null where everything is to be answered as JSON. */
export interface HttpRequest extends V2Request {
  readonly form: OutputForm | null;
}

type Json = Readonly<Record<string, unknown>>;

const WIDEST_ELEMENT = 8;

/**
 * A V2 request out of an HTTP body: JSON; or, where the caller gave an Inference-Header-Content-Length, so many bytes of JSON with the
 * binary tensors behind it in the order of `inputs`. Throws REQUEST_INVALID and REQUEST_TOO_LARGE; reads nothing beyond the body.
 */
export function parseHttpRequest(bytes: Buffer, headerLength: string | undefined, limits: RequestLimits): HttpRequest {
  if (headerLength === undefined) {
    checkJsonBounds(bytes, limits);
    const body = parseJsonObject(bytes.toString('utf8'));
    const { id, parameters, inputs, outputs } = readInferRequest(body, limits);
    return { id, parameters, inputs, outputs, form: formOf(body, parameters) };
  }
  const length = readHeaderLength(headerLength, bytes.length);
  const head = bytes.subarray(0, length);
  // One copy where the tensors lie askew, instead of one for each of them.
  const isAligned = (bytes.byteOffset + length) % WIDEST_ELEMENT === 0;
  const tensors = isAligned ? bytes.subarray(length) : new Uint8Array(bytes.subarray(length));
  checkJsonBounds(head, limits);
  const body = parseJsonObject(head.toString('utf8'));
  const parameters = readParameters(body.parameters);
  return {
    id: readId(body.id, limits),
    parameters,
    inputs: readTensors(readTensorHeads(body.inputs, limits), tensors, limits),
    outputs: readOutputs(body.outputs),
    form: formOf(body, parameters),
  };
}

function readHeaderLength(text: string, bodyBytes: number): number {
  const length = Number(text);
  if (!/^\d{1,10}$/.test(text) || length > bodyBytes)
    throw invalid(`Inference-Header-Content-Length is ${quote(text)}; the body has ${bodyBytes} bytes`);
  return length;
}

/** Binary tensors lie one behind the other; those with JSON `data` may be among them. */
function readTensors(heads: readonly Json[], bytes: Uint8Array, limits: RequestLimits): V2Tensor[] {
  const tensors = new Array<V2Tensor>(heads.length);
  let at = 0;
  for (let index = 0; index < heads.length; index += 1) {
    const head = heads[index]!;
    const size = isObject(head.parameters) ? head.parameters.binary_data_size : undefined;
    if (size === undefined) {
      if (!Array.isArray(head.data)) throw invalid(`inputs[${index}] has neither \`data\` nor binary_data_size`);
      tensors[index] = head as unknown as V2Tensor;
      continue;
    }
    if (head.data !== undefined) throw invalid(`inputs[${index}] has both \`data\` and binary_data_size`);
    if (!Number.isSafeInteger(size) || (size as number) < 0 || (size as number) > bytes.length - at)
      throw invalid(`inputs[${index}]: binary_data_size is beyond the ${bytes.length - at} bytes that are left`);
    const { buffer, byteOffset } = bytes;
    tensors[index] = readTensor(head, { buffer, byteOffset: byteOffset + at, length: size as number }, limits);
    at += size as number;
  }
  if (at !== bytes.length) throw invalid(`the body has ${bytes.length - at} bytes after its tensors`);
  return tensors;
}

function readTensor(head: Json, bytes: ByteRange, limits: RequestLimits): V2Tensor {
  const { name, datatype, shape } = head as unknown as V2Tensor;
  return { name, datatype, shape, data: decodeTensor(name, datatype, elementsOf(name, shape), bytes, limits) };
}

/** Number of elements that a shape means. Throws REQUEST_INVALID where a size is no number of elements. */
export function elementsOf(name: string, shape: readonly number[]): number {
  let elements = 1;
  for (let axis = 0; axis < shape.length; axis += 1) {
    const size = shape[axis];
    if (!Number.isSafeInteger(size) || size! < 0)
      throw invalid(`the shape of input ${quote(name)} must be of whole numbers`);
    elements *= size!;
  }
  if (!Number.isSafeInteger(elements)) throw tooLarge(`the shape of input ${quote(name)} means too many elements`);
  return elements;
}

const ALL_BINARY: OutputForm = { isBinary: () => true };

/** Each requested output may say for itself (`binary_data`); the request says for the others (`binary_data_output`). */
function formOf(body: Json, parameters: Json): OutputForm | null {
  const others = parameters.binary_data_output === true;
  const { outputs } = body;
  if (!Array.isArray(outputs) || outputs.length === 0) return others ? ALL_BINARY : null;
  const own = new Map<string, boolean>();
  for (const output of outputs as readonly { name: string; parameters?: unknown }[])
    if (isObject(output.parameters) && typeof output.parameters.binary_data === 'boolean')
      own.set(output.name, output.parameters.binary_data);
  if (!others && own.size === 0) return null;
  return { isBinary: (name) => own.get(name) ?? others };
}

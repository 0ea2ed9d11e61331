import { SlipwayError } from '../../../workflows/domain/errors';
import type { TensorData } from '../http/tensor-data';

/** A tensor of the Open Inference Protocol V2 (github.com/kserve/open-inference-protocol), out of whichever encoding it came in. */
export interface V2Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

export interface V2Request {
  readonly id: string | null;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly inputs: readonly V2Tensor[];
  /** Names of the outputs that the caller asked for; null for all. */
  readonly outputs: readonly string[] | null;
}

/** What one request may cost before anything is computed. */
export interface RequestLimits {
  /** Of a body as it came, and as it was before compression. */
  readonly bodyBytes: number;
  /** A compressed body may become so many times larger. */
  readonly compressionRatio: number;
  readonly rows: number;
  readonly inputs: number;
  /** Lists and objects of a JSON body inside each other, and all its values together; looked at in long bodies only. */
  readonly nesting: number;
  readonly elements: number;
  readonly stringLength: number;
  readonly idLength: number;
  readonly headers: number;
}

export const DEFAULT_LIMITS: RequestLimits = {
  bodyBytes: 8 << 20,
  compressionRatio: 200,
  rows: 4_096,
  inputs: 1_024,
  nesting: 32,
  elements: 1_048_576,
  stringLength: 4_096,
  idLength: 256,
  headers: 128,
};

type Json = Readonly<Record<string, unknown>>;

const NO_PARAMETERS: Json = Object.freeze({});

/** Reads the JSON form of an inference request. Throws REQUEST_INVALID that names the member, or REQUEST_TOO_LARGE. */
export function parseInferRequest(text: string, limits: RequestLimits): V2Request {
  return readInferRequest(parseJsonObject(text), limits);
}

/** Throws REQUEST_INVALID where it is none. */
export function parseJsonObject(text: string): Json {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw invalid(`the body is not JSON: ${(error as Error).message.slice(0, 120)}`);
  }
  if (!isObject(body)) throw invalid('the body must be a JSON object');
  return body;
}

/** A parsed body whose tensors all have their `data`. Throws REQUEST_INVALID that names the member, or REQUEST_TOO_LARGE. */
export function readInferRequest(body: Json, limits: RequestLimits): V2Request {
  const inputs = readTensorHeads(body.inputs, limits);
  for (let at = 0; at < inputs.length; at += 1) checkData(inputs[at]!, at);
  return {
    id: readId(body.id, limits),
    parameters: readParameters(body.parameters),
    inputs: inputs as unknown as V2Tensor[],
    outputs: readOutputs(body.outputs),
  };
}

/** `inputs` with name, datatype and shape of each checked, data not. */
export function readTensorHeads(inputs: unknown, limits: RequestLimits): Json[] {
  if (!Array.isArray(inputs)) throw invalid('`inputs` must be a list of tensors');
  if (inputs.length > limits.inputs) throw tooLarge(`${inputs.length} inputs; at most ${limits.inputs}`);
  for (let at = 0; at < inputs.length; at += 1) checkTensor(inputs[at], at);
  return inputs as Json[];
}

function checkTensor(tensor: unknown, at: number): void {
  if (!isObject(tensor)) throw invalid(`inputs[${at}] must be an object`);
  if (typeof tensor.name !== 'string') throw invalid(`inputs[${at}].name must be a string`);
  if (typeof tensor.datatype !== 'string') throw invalid(`inputs[${at}].datatype must be a string`);
  if (!Array.isArray(tensor.shape)) throw invalid(`inputs[${at}].shape must be a list of integers`);
}

function checkData(tensor: Json, at: number): void {
  if (Array.isArray(tensor.data)) return;
  const { parameters } = tensor;
  if (isObject(parameters) && parameters.binary_data_size !== undefined)
    throw invalid(`inputs[${at}] is binary, but the request has no Inference-Header-Content-Length`);
  if (isObject(parameters) && parameters.shared_memory_region !== undefined)
    throw invalid(`inputs[${at}] is in shared memory, which this server does not read`);
  throw invalid(`inputs[${at}].data must be a list`);
}

export function readId(id: unknown, limits: RequestLimits): string | null {
  if (id === undefined || id === null || id === '') return null;
  if (typeof id !== 'string') throw invalid('`id` must be a string');
  if (id.length > limits.idLength) throw tooLarge(`\`id\` has ${id.length} characters; at most ${limits.idLength}`);
  return id;
}

export function readParameters(parameters: unknown): Json {
  if (parameters === undefined || parameters === null) return NO_PARAMETERS;
  if (!isObject(parameters)) throw invalid('`parameters` must be an object');
  return parameters;
}

export function readOutputs(outputs: unknown): readonly string[] | null {
  if (outputs === undefined || outputs === null) return null;
  if (!Array.isArray(outputs)) throw invalid('`outputs` must be a list');
  if (outputs.length === 0) return null;
  return outputs.map((output: unknown, at) => {
    if (!isObject(output) || typeof output.name !== 'string') throw invalid(`outputs[${at}].name must be a string`);
    if (isObject(output.parameters) && output.parameters.classification !== undefined)
      throw invalid(`outputs[${at}]: this server gives no classification; its output is the score`);
    return output.name;
  });
}

/** Number of rows of a [n] or [n, 1] tensor. Throws REQUEST_INVALID for any other shape. */
export function rowsOf(tensor: V2Tensor): number {
  const [rows, width] = tensor.shape;
  const wellFormed = tensor.shape.length === 1 || (tensor.shape.length === 2 && width === 1);
  if (!wellFormed || !Number.isInteger(rows) || rows! < 1) {
    throw invalid(
      `input ${quote(tensor.name)} has shape ${quote(JSON.stringify(tensor.shape))}; expected [rows] or [rows, 1] with at least one row`,
    );
  }
  return rows!;
}

/** Text of a caller, shortened and quoted for a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

export function invalid(message: string): SlipwayError {
  return new SlipwayError('REQUEST_INVALID', message);
}

export function tooLarge(message: string): SlipwayError {
  return new SlipwayError('REQUEST_TOO_LARGE', message);
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

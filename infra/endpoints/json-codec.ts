import { SlipwayError } from '../../workflows/domain/errors';
import type { EncodedCall, EndpointCodec, RawAnswer } from './codec';
import { answerInvalid, finiteScores, parseAnswer, shapeOf } from './answer-shape';
import { type InputName, isMissing, refuseInfinite, refuseMissing, type Values } from './columns';
import type { JsonDescriptor } from './descriptor';

type JsonValue = string | number | boolean | null;

const HEADERS = { 'content-type': 'application/json' };

const TRANSFORMS: Readonly<Record<JsonDescriptor['answer']['transform'], (score: number) => number>> = {
  none: (score) => score,
  sigmoid: (score) => 1 / (1 + Math.exp(-score)),
  complement: (score) => 1 - score,
};

/** Of a Date (ECMA-262, section 21.4.1.1). */
const MOST_EPOCH_MS = 8.64e15;

/** Plain JSON over HTTP: TensorFlow Serving's `instances` and `predictions`, and services that people wrote themselves. */
export function createJsonCodec(descriptor: JsonDescriptor, inputs: readonly InputName[]): EndpointCodec {
  const { request, answer } = descriptor;
  const strangers = Object.keys(request.rename).filter((name) => !inputs.some((input) => input.name === name));
  if (strangers.length > 0)
    throw new SlipwayError('MODEL_SIGNATURE', `request.rename: ${strangers.join(', ')} is no feature of the model`);
  const names = inputs.map(({ name }) => (Object.hasOwn(request.rename, name) ? request.rename[name]! : name));
  return {
    path: descriptor.path,
    inputs,
    check: (columns, rows) => {
      refuseMissing(inputs, columns, rows, () => request.missing === undefined);
      refuseInfinite(inputs, columns, rows);
    },
    encode: (columns, from, to) => encode(request, inputs, names, columns, from, to),
    decode: (raw, rows) => decode(answer, raw, rows),
  };
}

function encode(
  request: JsonDescriptor['request'],
  inputs: readonly InputName[],
  names: readonly string[],
  columns: readonly Values[],
  from: number,
  to: number,
): EncodedCall {
  const rows: unknown[] = [];
  for (let row = from; row < to; row += 1) {
    const values = inputs.map((input, at) => valueOf(input, columns[at]![row]!, request.timestamp));
    if (request.form === 'lists') rows.push(values);
    else {
      const kept = names.map((name, at) => [name, values[at]] as const);
      rows.push(Object.fromEntries(request.missing === 'omit' ? kept.filter(([, value]) => value !== null) : kept));
    }
  }
  const body = JSON.stringify(atPointer(request.rows, request.form === 'single' ? rows[0] : rows));
  return { headers: HEADERS, body: Buffer.from(body) };
}

/** Numbers as FP32, which is what the gates saw and an ONNX release would be given. */
function valueOf({ datatype, type }: InputName, value: number | string, timestamp: 'epochMs' | 'iso'): JsonValue {
  if (isMissing(value)) return null;
  if (typeof value === 'string') return value;
  if (datatype === 'BOOL') return value === 1;
  if (type === 'timestamp' && timestamp === 'iso') return isoOf(value);
  return datatype === 'FP32' ? Math.fround(value) : value;
}

function isoOf(epochMs: number): string {
  if (Math.abs(epochMs) <= MOST_EPOCH_MS) return new Date(epochMs).toISOString();
  throw new SlipwayError('INPUT_INVALID', 'a timestamp is beyond the year 275760 and cannot be sent as a date');
}

function decode(answer: JsonDescriptor['answer'], raw: RawAnswer, rows: number): Float32Array {
  const found = valueAt(answer.scores, parseAnswer(raw.body));
  // A service of one row may answer it without a list around.
  const list = Array.isArray(found) ? (found as unknown[]) : rows === 1 && found !== undefined ? [found] : null;
  const place = answer.scores === '' ? 'the answer' : answer.scores;
  if (list?.length !== rows) throw answerInvalid(`${place}: expected a list of ${rows}; found ${shapeOf(found)}`);
  const { column } = answer;
  const scores = column === undefined ? list : list.map((element) => pick(element, column));
  return finiteScores(scores, TRANSFORMS[answer.transform]);
}

function pick(element: unknown, column: number | string): unknown {
  if (typeof element !== 'object' || element === null || !Object.hasOwn(element, column))
    throw answerInvalid(`expected ${JSON.stringify(column)} in each element; found ${shapeOf(element)}`);
  return (element as Record<number | string, unknown>)[column];
}

/** RFC 6901. */
function partsOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'));
}

/** `value` at the pointer of an otherwise empty document. */
function atPointer(pointer: string, value: unknown): unknown {
  return partsOf(pointer).reduceRight<unknown>((inner, part) => Object.fromEntries([[part, inner]]), value);
}

function valueAt(pointer: string, document: unknown): unknown {
  return partsOf(pointer).reduce<unknown>(
    (at, part) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, part)
        ? (at as Record<string, unknown>)[part]
        : undefined,
    document,
  );
}

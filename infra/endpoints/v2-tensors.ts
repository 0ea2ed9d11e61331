import type { TensorType } from '../../workflows/domain/release';
import { answerInvalid } from './answer-shape';
import { isMissing, type Values } from './columns';

/** Elements of one V2 tensor, as JSON has them. Missing is null. */
export function jsonElements(datatype: TensorType, column: Values, from: number, to: number): unknown[] {
  const data: unknown[] = [];
  for (let row = from; row < to; row += 1) {
    const value = column[row]!;
    if (isMissing(value)) data.push(null);
    else if (datatype === 'BOOL') data.push(value === 1);
    else data.push(datatype === 'FP32' ? Math.fround(value as number) : value);
  }
  return data;
}

/**
 * The same as bytes: little-endian, BYTES with 4 bytes of length each (the binary tensor data extension of
 * github.com/triton-inference-server/server). Missing is NaN, the smallest INT64 or the empty text.
 */
export function binaryElements(datatype: TensorType, column: Values, from: number, to: number): Buffer {
  const rows = to - from;
  if (datatype === 'BYTES') return textBytes(column as readonly string[], from, to);
  if (datatype === 'BOOL') return Buffer.from(Array.from({ length: rows }, (_, row) => column[from + row] as number));
  const bytes = Buffer.alloc(rows * (datatype === 'FP32' ? 4 : 8));
  for (let row = 0; row < rows; row += 1) {
    const value = column[from + row] as number;
    if (datatype === 'FP32') bytes.writeFloatLE(value, row * 4);
    else bytes.writeBigInt64LE(BigInt(value), row * 8);
  }
  return bytes;
}

function textBytes(column: readonly string[], from: number, to: number): Buffer {
  const parts: Buffer[] = [];
  for (let row = from; row < to; row += 1) {
    const text = Buffer.from(column[row]!, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    parts.push(length, text);
  }
  return Buffer.concat(parts);
}

type Reader = (bytes: Buffer, at: number) => number;

/** Datatypes that a score may come as. */
const READERS: ReadonlyMap<string, readonly [size: number, read: Reader]> = new Map<string, readonly [number, Reader]>([
  ['FP32', [4, (bytes, at) => bytes.readFloatLE(at)]],
  ['FP64', [8, (bytes, at) => bytes.readDoubleLE(at)]],
  ['INT32', [4, (bytes, at) => bytes.readInt32LE(at)]],
  ['INT64', [8, (bytes, at) => Number(bytes.readBigInt64LE(at))]],
]);

export function isNumeric(datatype: string): boolean {
  return READERS.has(datatype);
}

/** Every `width`-th element from `column` on. Throws ENDPOINT_ANSWER_INVALID where bytes and shape disagree. */
export function binaryColumn(datatype: string, bytes: Buffer, rows: number, width: number, column: number): number[] {
  const [size, read] = READERS.get(datatype)!;
  if (bytes.length !== rows * width * size)
    throw answerInvalid(`expected ${rows * width * size} bytes of ${datatype}; found ${bytes.length}`);
  return Array.from({ length: rows }, (_, row) => read(bytes, (row * width + column) * size));
}

import { isUtf8 } from 'node:buffer';
import { invalid, quote, tooLarge } from '../inference/protocol';
import { brainFloatsOfFloats, floatsOfBrainFloats, floatsOfHalves, halvesOfFloats } from './half-floats';
import type { TensorData, TypedData } from './tensor-data';
import { isList } from './tensor-data';

/**
 * The elements of V2 tensors as bytes: little-endian, row-major, without padding (the binary tensor data extension of
 * github.com/triton-inference-server/server, docs/protocol/extension_binary_data.md; gRPC's raw contents are the same).
 * All platforms that ONNX Runtime has are little-endian, so a typed array over the bytes is the tensor.
 */
interface Layout {
  /** Bytes of one element. */
  readonly size: number;
  /** `bytes` begins where such an array may begin. */
  readonly read: (bytes: ByteRange, elements: number) => TypedData;
}

/** Where bytes lie: an array of them, or less than one, since making one for each tensor is what small tensors cost most. */
export type ByteRange = Pick<Uint8Array, 'buffer' | 'byteOffset' | 'length'>;

type ArrayOf<T> = new (buffer: ArrayBufferLike, offset: number, length: number) => T;

function layout<T extends TypedData>(size: number, type: ArrayOf<T>, widen?: (data: T) => TypedData): Layout {
  return {
    size,
    read: (bytes, elements) => {
      const data = new type(bytes.buffer, bytes.byteOffset, elements);
      return widen ? widen(data) : data;
    },
  };
}

const LAYOUTS = {
  BOOL: layout(1, Uint8Array),
  UINT8: layout(1, Uint8Array),
  UINT16: layout(2, Uint16Array),
  UINT32: layout(4, Uint32Array),
  UINT64: layout(8, BigUint64Array),
  INT8: layout(1, Int8Array),
  INT16: layout(2, Int16Array),
  INT32: layout(4, Int32Array),
  INT64: layout(8, BigInt64Array),
  FP16: layout(2, Uint16Array, floatsOfHalves),
  BF16: layout(2, Uint16Array, floatsOfBrainFloats),
  FP32: layout(4, Float32Array),
  FP64: layout(8, Float64Array),
} as const satisfies Record<string, Layout>;

type FixedType = keyof typeof LAYOUTS;

const known = new Map<string, Layout>(Object.entries(LAYOUTS));
const LENGTH_BYTES = 4;
/** Most bytes of UTF-8 that one UTF-16 unit may take. */
const BYTES_PER_CHARACTER = 3;

/**
 * A tensor's elements out of its bytes; BYTES as strings. A view where the bytes are aligned for it, else a copy: the caller must
 * not write to `bytes` afterwards. Throws REQUEST_INVALID where bytes and `elements` disagree, REQUEST_TOO_LARGE for a long string.
 */
export function decodeTensor(
  name: string,
  datatype: string,
  elements: number,
  bytes: ByteRange,
  limits: { readonly stringLength: number },
): TypedData | string[] {
  if (datatype === 'BYTES') return decodeStrings(name, elements, bytes, limits.stringLength);
  const found = known.get(datatype);
  if (!found) throw invalid(`input ${quote(name)} has datatype ${quote(datatype)}, which is none of V2`);
  const { size, read } = found;
  if (elements * size !== bytes.length)
    throw invalid(
      `input ${quote(name)} has ${bytes.length} bytes; ${elements} ${datatype} elements take ${elements * size}`,
    );
  return read(bytes.byteOffset % size === 0 ? bytes : copyOf(bytes), elements);
}

function copyOf({ buffer, byteOffset, length }: ByteRange): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length).slice();
}

/** Each element is its length as an unsigned 32-bit integer, then as many bytes of UTF-8. */
function decodeStrings(name: string, elements: number, bytes: ByteRange, maxLength: number): string[] {
  // Before the list is made: a shape may claim any number of elements.
  if (elements * LENGTH_BYTES > bytes.length) throw shortStrings(name, bytes.length, elements);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const strings = new Array<string>(elements);
  let at = 0;
  for (let element = 0; element < elements; element += 1) {
    if (at + LENGTH_BYTES > buffer.length) throw shortStrings(name, bytes.length, elements);
    const length = buffer.readUInt32LE(at);
    at += LENGTH_BYTES;
    if (length > buffer.length - at) throw shortStrings(name, bytes.length, elements);
    if (length > maxLength * BYTES_PER_CHARACTER)
      throw tooLarge(`input ${quote(name)}, element ${element}: ${length} bytes; at most ${maxLength} characters`);
    const text = buffer.toString('utf8', at, at + length);
    // Bytes that are no UTF-8 read as this character: two different values must not become one.
    if (text.includes('\ufffd') && !isUtf8(buffer.subarray(at, at + length)))
      throw invalid(`input ${quote(name)}, element ${element} is no UTF-8`);
    strings[element] = text;
    at += length;
  }
  if (at !== buffer.length)
    throw invalid(`input ${quote(name)} has ${buffer.length - at} bytes after its ${elements} elements`);
  return strings;
}

function shortStrings(name: string, bytes: number, elements: number): Error {
  return invalid(`input ${quote(name)} ends early: its ${bytes} bytes hold fewer than ${elements} BYTES elements`);
}

/**
 * The bytes of a tensor: of a typed array as it lies in memory where it is the datatype's own, else of each element converted. Elements must
 * be of the datatype: numbers (bigints for 64 bits), strings for BYTES. Throws REQUEST_INVALID for a datatype that is none of V2.
 */
export function encodeTensor(datatype: string, data: TensorData): Uint8Array {
  if (datatype === 'BYTES') return encodeStrings(data as readonly string[]);
  const own = Object.hasOwn(ENCODERS, datatype) ? ENCODERS[datatype as FixedType](data) : null;
  if (own === null) throw invalid(`${quote(datatype)} is no datatype of V2`);
  return new Uint8Array(own.buffer, own.byteOffset, own.byteLength);
}

function encodeStrings(strings: readonly string[]): Uint8Array {
  const size = strings.reduce((bytes, text) => bytes + LENGTH_BYTES + Buffer.byteLength(text), 0);
  const buffer = Buffer.allocUnsafe(size);
  let at = 0;
  for (const text of strings) {
    const written = buffer.write(text, at + LENGTH_BYTES);
    buffer.writeUInt32LE(written, at);
    at += LENGTH_BYTES + written;
  }
  return buffer;
}

const floats = (data: TensorData): Float32Array =>
  data instanceof Float32Array ? data : Float32Array.from(data as readonly number[]);

const wide = (data: TensorData): bigint[] =>
  Array.from(data as ArrayLike<number | bigint | boolean>, (value) => BigInt(value));

const numbers = (data: TensorData): number[] =>
  isList(data) ? data.map(Number) : Array.from(data as ArrayLike<number>, Number);

const ENCODERS: Readonly<Record<FixedType, (data: TensorData) => TypedData>> = {
  BOOL: (data) => (data instanceof Uint8Array ? data : Uint8Array.from(numbers(data))),
  UINT8: (data) => (data instanceof Uint8Array ? data : Uint8Array.from(numbers(data))),
  UINT16: (data) => (data instanceof Uint16Array ? data : Uint16Array.from(numbers(data))),
  UINT32: (data) => (data instanceof Uint32Array ? data : Uint32Array.from(numbers(data))),
  UINT64: (data) => (data instanceof BigUint64Array ? data : BigUint64Array.from(wide(data))),
  INT8: (data) => (data instanceof Int8Array ? data : Int8Array.from(numbers(data))),
  INT16: (data) => (data instanceof Int16Array ? data : Int16Array.from(numbers(data))),
  INT32: (data) => (data instanceof Int32Array ? data : Int32Array.from(numbers(data))),
  INT64: (data) => (data instanceof BigInt64Array ? data : BigInt64Array.from(wide(data))),
  FP16: (data) => halvesOfFloats(floats(data)),
  BF16: (data) => brainFloatsOfFloats(floats(data)),
  FP32: floats,
  FP64: (data) => (data instanceof Float64Array ? data : Float64Array.from(numbers(data))),
};

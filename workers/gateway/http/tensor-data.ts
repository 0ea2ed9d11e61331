/** Arrays that hold a binary tensor's elements as they came. FP16 and BF16 are widened to Float32Array, which holds both exactly. */
export type TypedData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** A tensor's elements: a list from JSON (perhaps nested), strings of BYTES, or what a binary tensor decodes to. */
export type TensorData = readonly unknown[] | TypedData;

/** Array.isArray does not tell a readonly list from a typed array to the compiler. */
export function isList(data: TensorData): data is readonly unknown[] {
  return Array.isArray(data);
}

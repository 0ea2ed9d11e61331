import type { InputSignature } from '../../../workflows/domain/release';
import type { TypedData } from './tensor-data';

/** Missing INT64, as the served graphs take it. Exact as a double. */
export const MISSING_INT64 = -9_223_372_036_854_775_808;

/**
 * What a binary tensor becomes: two kinds of array and no more, so that code over columns stays fast.
 * INT64 and BOOL are Float64Array, as INT64 are doubles everywhere here.
 */
export type TypedColumn = Float32Array | Float64Array;

/** A row that the model's type does not hold exactly. */
export class UnfitRow {
  constructor(
    readonly row: number,
    readonly value: number | bigint,
  ) {}
}

/** A binary tensor as the column of its input. A value that is no exact one of the input's type is told, not thrown. */
export function typedColumn(data: TypedData, input: InputSignature): TypedColumn | UnfitRow {
  switch (input.datatype) {
    case 'FP32':
      return floatColumn(data);
    case 'INT64':
      return integerColumn(data);
    case 'BOOL':
      return booleanColumn(data);
    case 'BYTES':
      throw new TypeError('BYTES is never a typed array');
  }
}

/** NaN is a missing value; an infinite one is none. An FP64 may be rounded, an integer may not. */
function floatColumn(data: TypedData): TypedColumn | UnfitRow {
  if (data instanceof Float32Array) return firstInfinite(data) ?? data;
  if (data instanceof Float64Array) {
    for (let row = 0; row < data.length; row += 1) {
      const value = data[row]!;
      if (Math.abs(Math.fround(value)) === Infinity) return new UnfitRow(row, value);
    }
    return data;
  }
  const column = doubles(data);
  if (column instanceof UnfitRow) return column;
  for (let row = 0; row < column.length; row += 1) {
    const value = column[row]!;
    if (Math.fround(value) !== value) return new UnfitRow(row, value);
  }
  return column;
}

function firstInfinite(data: Float32Array): UnfitRow | null {
  for (let row = 0; row < data.length; row += 1)
    if (Math.abs(data[row]!) === Infinity) return new UnfitRow(row, data[row]!);
  return null;
}

/** Whole numbers that doubles hold exactly; NaN in a tensor of floats is a missing value, as null is in JSON. */
function integerColumn(data: TypedData): TypedColumn | UnfitRow {
  const column = doubles(data);
  if (column instanceof UnfitRow || !(data instanceof Float32Array || data instanceof Float64Array)) return column;
  for (let row = 0; row < column.length; row += 1) {
    const value = column[row]!;
    // A copy, as `doubles` makes of every array: the other arm reads the same data.
    if (value !== value) column[row] = MISSING_INT64;
    else if (!Number.isSafeInteger(value) && value !== MISSING_INT64) return new UnfitRow(row, value);
  }
  return column;
}

function booleanColumn(data: TypedData): TypedColumn | UnfitRow {
  const column = doubles(data);
  if (column instanceof UnfitRow) return column;
  for (let row = 0; row < column.length; row += 1)
    if (column[row] !== 0 && column[row] !== 1) return new UnfitRow(row, column[row]!);
  return column;
}

/** A copy as doubles, or the first row that no double holds exactly. */
function doubles(data: TypedData): Float64Array | UnfitRow {
  if (data instanceof BigInt64Array) return wideIntegers(data, true);
  if (data instanceof BigUint64Array) return wideIntegers(data, false);
  return new Float64Array(data);
}

/** Read as two halves each, without making a BigInt of every element. */
function wideIntegers(data: BigInt64Array | BigUint64Array, isSigned: boolean): Float64Array | UnfitRow {
  const lows = new Uint32Array(data.buffer, data.byteOffset, data.length * 2);
  const highs = isSigned ? new Int32Array(data.buffer, data.byteOffset, data.length * 2) : lows;
  const column = new Float64Array(data.length);
  for (let row = 0; row < column.length; row += 1) {
    const value = highs[row * 2 + 1]! * 4_294_967_296 + lows[row * 2]!;
    // The sum is rounded only beyond 2^53, where no rounding leads back below it.
    if (!Number.isSafeInteger(value) && !(value === MISSING_INT64 && data[row] === SMALLEST_INT64))
      return new UnfitRow(row, data[row]!);
    column[row] = value;
  }
  return column;
}

const SMALLEST_INT64 = -(2n ** 63n);

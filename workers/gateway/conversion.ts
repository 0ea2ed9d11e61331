import type { InputSignature, TensorType } from '../../workflows/domain/release';
import { SlipwayError } from '../../workflows/domain/errors';
import type { RequestLimits, V2Tensor } from './protocol';
import { invalid, quote, tooLarge } from './protocol';

/** Missing INT64, as the served graphs take it. Exact as a double. */
export const MISSING_INT64 = -9_223_372_036_854_775_808;

/** One feature's values for all rows: FP32 and INT64 as doubles, BOOL as 0 and 1, BYTES as strings. */
export type Column = (number | string)[];

const INTEGER_TYPES = ['INT8', 'INT16', 'INT32', 'INT64', 'UINT8', 'UINT16', 'UINT32', 'UINT64'] as const;
const ACCEPTED: Readonly<Record<TensorType, ReadonlySet<string>>> = {
  FP32: new Set(['FP32', 'FP64', 'FP16', ...INTEGER_TYPES]),
  INT64: new Set([...INTEGER_TYPES, 'FP32', 'FP64']),
  BYTES: new Set(['BYTES']),
  BOOL: new Set(['BOOL', 'UINT8', 'INT8', 'INT32', 'INT64']),
};

/**
 * Reads a tensor's JSON data as the column of its input; the same array where nothing has to change. Null means missing.
 * Throws REQUEST_INVALID for another datatype, INPUT_INVALID for a value that the type cannot hold exactly
 * (an FP64 may be rounded to FP32, as JSON cannot tell them apart).
 */
export function toColumn(tensor: V2Tensor, input: InputSignature, rows: number, limits: RequestLimits): Column {
  if (!ACCEPTED[input.datatype].has(tensor.datatype)) {
    const accepted = [...ACCEPTED[input.datatype]].join(', ');
    throw invalid(
      `input ${quote(tensor.name)} has datatype ${quote(tensor.datatype)}; the model takes ${input.datatype} (accepted: ${accepted})`,
    );
  }
  const data = flatten(tensor, rows);
  if (data.length !== rows)
    throw invalid(`input ${quote(tensor.name)} has ${data.length} values; its shape says ${rows}`);
  switch (input.datatype) {
    case 'FP32':
      return fillFloats(
        data,
        input,
        tensor.datatype !== 'FP32' && tensor.datatype !== 'FP64' && tensor.datatype !== 'FP16',
      );
    case 'INT64':
      return fillIntegers(data, input);
    case 'BYTES':
      return fillStrings(data, input, limits);
    case 'BOOL':
      return fillBooleans(data, input);
  }
}

/** V2 allows nested lists as well as flat ones. */
function flatten(tensor: V2Tensor, rows: number): unknown[] {
  const data = tensor.data as unknown[];
  if (data.length !== rows || !Array.isArray(data[0])) return data;
  return data.map((row) => (Array.isArray(row) && row.length === 1 ? (row[0] as unknown) : row));
}

function fillFloats(data: readonly unknown[], input: InputSignature, integers: boolean): Column {
  let column = data as Column;
  for (let row = 0; row < data.length; row += 1) {
    const value = data[row];
    if (typeof value === 'number') {
      const held = Math.fround(value);
      if (!Number.isFinite(held) || (integers && held !== value)) throw unfit(input, row, value, 'FP32');
    } else if (value === null) column = replace(column, data, row, NaN);
    else throw unfit(input, row, value, 'FP32');
  }
  return column;
}

function fillIntegers(data: readonly unknown[], input: InputSignature): Column {
  let column = data as Column;
  for (let row = 0; row < data.length; row += 1) {
    const value = data[row];
    if (value === null) column = replace(column, data, row, MISSING_INT64);
    else if (!Number.isSafeInteger(value) && value !== MISSING_INT64) throw unfit(input, row, value, 'INT64');
  }
  return column;
}

function fillStrings(data: readonly unknown[], input: InputSignature, limits: RequestLimits): Column {
  let column = data as Column;
  for (let row = 0; row < data.length; row += 1) {
    const value = data[row];
    if (value === null) column = replace(column, data, row, '');
    else if (typeof value !== 'string') throw unfit(input, row, value, 'BYTES');
    else if (value.length > limits.stringLength) {
      throw tooLarge(
        `input ${quote(input.name)}, row ${row}: ${value.length} characters; at most ${limits.stringLength}`,
      );
    }
  }
  return column;
}

function fillBooleans(data: readonly unknown[], input: InputSignature): Column {
  const column: Column = new Array<number>(data.length);
  for (let row = 0; row < data.length; row += 1) {
    const value = data[row];
    if (value === true || value === 1) column[row] = 1;
    else if (value === false || value === 0) column[row] = 0;
    else throw unfit(input, row, value, 'BOOL');
  }
  return column;
}

/** Copies before the first change: the other arm reads the same data, perhaps as another type. */
function replace(column: Column, data: readonly unknown[], row: number, value: number | string): Column {
  const own = column === data ? column.slice() : column;
  own[row] = value;
  return own;
}

function unfit(input: InputSignature, row: number, value: unknown, datatype: TensorType): SlipwayError {
  const shown = value === undefined ? 'undefined' : quote(JSON.stringify(value));
  return new SlipwayError(
    'INPUT_INVALID',
    `row ${row}, feature ${quote(input.name)}: ${shown} is no exact ${datatype} value`,
  );
}

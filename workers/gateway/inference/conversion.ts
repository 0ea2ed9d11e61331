import type { InputSignature, TensorType } from '../../../workflows/domain/release';
import { SlipwayError } from '../../../workflows/domain/errors';
import { isList } from '../http/tensor-data';
import type { TypedColumn } from '../http/typed-columns';
import { MISSING_INT64, typedColumn, UnfitRow } from '../http/typed-columns';
import type { RequestLimits, V2Tensor } from './protocol';
import { invalid, quote, tooLarge } from './protocol';

export { MISSING_INT64 };

/** One feature's values for all rows as a list: FP32 and INT64 as doubles, BOOL as 0 and 1, BYTES as strings. */
type ListColumn = (number | string)[];

/** One feature's values for all rows: a list, or the typed array that a binary tensor came as. Not to be written to. */
export type Column = readonly (number | string)[] | TypedColumn;

export function isTyped(column: Column): column is TypedColumn {
  return !Array.isArray(column);
}

const INTEGER_TYPES = ['INT8', 'INT16', 'INT32', 'INT64', 'UINT8', 'UINT16', 'UINT32', 'UINT64'] as const;
const ACCEPTED: Readonly<Record<TensorType, ReadonlySet<string>>> = {
  FP32: new Set(['FP32', 'FP64', 'FP16', 'BF16', ...INTEGER_TYPES]),
  INT64: new Set([...INTEGER_TYPES, 'FP32', 'FP64']),
  BYTES: new Set(['BYTES']),
  BOOL: new Set(['BOOL', ...INTEGER_TYPES, 'FP32', 'FP64']),
};

/**
 * Reads a tensor's data as the column of its input; the same array where nothing has to change. Null (in binary tensors NaN) means missing.
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
  const { data: given } = tensor;
  if (!isList(given)) {
    checkCount(tensor, given.length, rows);
    const column = typedColumn(given, input);
    if (column instanceof UnfitRow) throw unfit(input, column.row, column.value, input.datatype);
    return column;
  }
  const data = flatten(given, rows);
  checkCount(tensor, data.length, rows);
  switch (input.datatype) {
    case 'FP32':
      return fillFloats(data, input, FLOAT_TYPES.indexOf(tensor.datatype) < 0);
    case 'INT64':
      return fillIntegers(data, input);
    case 'BYTES':
      return fillStrings(data, input, limits);
    case 'BOOL':
      return fillBooleans(data, input);
  }
}

const FLOAT_TYPES: readonly string[] = ['FP32', 'FP64', 'FP16', 'BF16'];

function checkCount(tensor: V2Tensor, values: number, rows: number): void {
  if (values !== rows) throw invalid(`input ${quote(tensor.name)} has ${values} values; its shape says ${rows}`);
}

/** V2 allows nested lists as well as flat ones. */
function flatten(data: readonly unknown[], rows: number): readonly unknown[] {
  if (data.length !== rows || !Array.isArray(data[0])) return data;
  return data.map((row) => (Array.isArray(row) && row.length === 1 ? (row[0] as unknown) : row));
}

function fillFloats(data: readonly unknown[], input: InputSignature, integers: boolean): ListColumn {
  let column = data as ListColumn;
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

function fillIntegers(data: readonly unknown[], input: InputSignature): ListColumn {
  let column = data as ListColumn;
  for (let row = 0; row < data.length; row += 1) {
    const value = data[row];
    if (value === null) column = replace(column, data, row, MISSING_INT64);
    else if (!Number.isSafeInteger(value) && value !== MISSING_INT64) throw unfit(input, row, value, 'INT64');
  }
  return column;
}

function fillStrings(data: readonly unknown[], input: InputSignature, limits: RequestLimits): ListColumn {
  let column = data as ListColumn;
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

function fillBooleans(data: readonly unknown[], input: InputSignature): ListColumn {
  const column: ListColumn = new Array<number>(data.length);
  for (let row = 0; row < data.length; row += 1) {
    const value = data[row];
    if (value === true || value === 1) column[row] = 1;
    else if (value === false || value === 0) column[row] = 0;
    else throw unfit(input, row, value, 'BOOL');
  }
  return column;
}

/** Copies before the first change: the other arm reads the same data, perhaps as another type. */
function replace(column: ListColumn, data: readonly unknown[], row: number, value: number | string): ListColumn {
  const own = column === data ? column.slice() : column;
  own[row] = value;
  return own;
}

function unfit(input: InputSignature, row: number, value: unknown, datatype: TensorType): SlipwayError {
  return new SlipwayError(
    'INPUT_INVALID',
    `row ${row}, feature ${quote(input.name)}: ${show(value)} is no exact ${datatype} value`,
  );
}

/** Never the text of a list or an object: callers nest them as deep as a body is long. */
function show(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  return typeof value === 'object' && value !== null ? (Array.isArray(value) ? 'a list' : 'an object') : String(value);
}

import type { InputSignature } from '../../workflows/domain/release';

/** Missing INT64 (integers and timestamps): the smallest value. Missing FP32 is NaN, missing BYTES the empty text. */
export const MISSING_INT64 = -(2n ** 63n);

/** One column of raw inputs: FP32, INT64, BYTES or BOOL (0 and 1), one value per row. */
export type Column = Float32Array | BigInt64Array | readonly string[] | Uint8Array;

/** Raw inputs as callers send them, by feature name. */
export interface FeatureTable {
  readonly rows: number;
  readonly columns: Readonly<Record<string, Column>>;
}

export function columnOf(table: FeatureTable, name: string): Column {
  const column = table.columns[name];
  if (!column) throw new TypeError(`the table has no column ${name}`);
  return column;
}

export type RowValue = string | number | boolean | null;

/** Rows by feature name (null, NaN or absent: missing) as columns. Throws TypeError for a value of the wrong type. */
export function tableOfRows(
  rows: readonly Readonly<Record<string, RowValue>>[],
  inputs: readonly Pick<InputSignature, 'name' | 'datatype'>[],
): FeatureTable {
  const columns = Object.fromEntries(
    inputs.map(({ name, datatype }) => [
      name,
      columnOfValues(
        rows.map((row) => row[name] ?? null),
        datatype,
        name,
      ),
    ]),
  );
  return { rows: rows.length, columns };
}

function columnOfValues(values: readonly RowValue[], datatype: InputSignature['datatype'], name: string): Column {
  const wrong = (value: RowValue): TypeError =>
    new TypeError(`${name} takes ${datatype}, not ${value === null ? 'null' : `a ${typeof value}`}`);
  const numeric = (value: RowValue): number => {
    if (typeof value !== 'number') throw wrong(value);
    return value;
  };
  const whole = (value: RowValue): bigint => {
    // BigInt's own error would quote the value.
    if (!Number.isInteger(numeric(value))) throw new TypeError(`${name} takes whole numbers`);
    return BigInt(numeric(value));
  };
  switch (datatype) {
    case 'FP32':
      return Float32Array.from(values, (value) => (value === null ? Number.NaN : numeric(value)));
    case 'INT64':
      return BigInt64Array.from(values, (value) => (value === null ? MISSING_INT64 : whole(value)));
    case 'BOOL':
      return Uint8Array.from(values, (value) => {
        if (typeof value !== 'boolean') throw wrong(value);
        return value ? 1 : 0;
      });
    case 'BYTES':
      return values.map((value) => {
        if (value !== null && typeof value !== 'string') throw wrong(value);
        return value ?? '';
      });
  }
}

/** One row as a caller would send it; missing is null. The inverse of `tableOfRows`. */
export function rowOfTable(table: FeatureTable, row: number): Record<string, RowValue> {
  return Object.fromEntries(Object.entries(table.columns).map(([name, column]) => [name, valueOf(column, row)]));
}

function valueOf(column: Column, row: number): RowValue {
  const value = column[row]!;
  if (typeof value === 'bigint') return value === MISSING_INT64 ? null : Number(value);
  if (typeof value === 'string') return value === '' ? null : value;
  if (column instanceof Uint8Array) return value === 1;
  return Number.isNaN(value) ? null : value;
}

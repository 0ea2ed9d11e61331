import { isList } from '../http/tensor-data';
import type { TensorData, TypedData } from '../http/tensor-data';
import type { V2Tensor } from './protocol';
import { invalid, quote } from './protocol';

/**
 * One tensor [rows, k] that holds all k inputs of a model, column after column in the signature's order: what clients of servers for
 * scikit-learn and XGBoost models send. Taken apart into the tensors that it means, one for each input.
 */
export function splitMatrix(matrix: V2Tensor, names: readonly string[]): V2Tensor[] {
  const [rows = 0] = matrix.shape;
  const shape = [rows];
  const { datatype, data } = matrix;
  const columns = isList(data)
    ? listColumns(matrix, data, rows, names.length)
    : typedColumns(matrix, data, rows, names.length);
  return columns.map((column, at) => ({ name: names[at]!, datatype, shape, data: column }));
}

function listColumns(matrix: V2Tensor, data: readonly unknown[], rows: number, width: number): unknown[][] {
  if (data.length === rows && (width > 1 || Array.isArray(data[0]))) return nestedColumns(matrix, data, width);
  checkLength(matrix, data, rows * width);
  return Array.from({ length: width }, (_, column) => {
    const values = new Array<unknown>(rows);
    for (let row = 0; row < rows; row += 1) values[row] = data[row * width + column];
    return values;
  });
}

/** A list for each row. */
function nestedColumns(matrix: V2Tensor, data: readonly unknown[], width: number): unknown[][] {
  for (const [row, values] of data.entries())
    if (!Array.isArray(values) || values.length !== width)
      throw invalid(`input ${quote(matrix.name)}, row ${row} must be a list of ${width} values`);
  return Array.from({ length: width }, (_, column) => (data as unknown[][]).map((values) => values[column]));
}

/** All columns lie in one allocation. */
function typedColumns(matrix: V2Tensor, data: TypedData, rows: number, width: number): TypedData[] {
  checkLength(matrix, data, rows * width);
  const turned = new (data.constructor as new (length: number) => TypedData)(data.length);
  for (let column = 0, to = 0; column < width; column += 1)
    for (let from = column; from < data.length; from += width) turned[to++] = data[from]!;
  return Array.from({ length: width }, (_, column) => turned.subarray(column * rows, (column + 1) * rows));
}

function checkLength(matrix: V2Tensor, { length }: TensorData, expected: number): void {
  if (length !== expected)
    throw invalid(`input ${quote(matrix.name)} has ${length} values; its shape says ${expected}`);
}

import { Tensor } from 'onnxruntime-node';
import type { InputSignature } from '../../workflows/domain/release';
import { type Column, columnOf, type FeatureTable } from './feature-table';

/** Tensors [to - from, 1] of the rows [from, to), named as the signature's inputs. */
export function tensorsOf(
  table: FeatureTable,
  inputs: readonly Pick<InputSignature, 'name' | 'datatype'>[],
  from: number,
  to: number,
): Record<string, Tensor> {
  return Object.fromEntries(
    inputs.map(({ name, datatype }) => [name, tensorOf(columnOf(table, name), datatype, from, to)]),
  );
}

function tensorOf(column: Column, datatype: InputSignature['datatype'], from: number, to: number): Tensor {
  const dims = [to - from, 1];
  switch (datatype) {
    case 'FP32':
      return new Tensor('float32', (column as Float32Array).subarray(from, to), dims);
    case 'INT64':
      return new Tensor('int64', (column as BigInt64Array).subarray(from, to), dims);
    case 'BOOL':
      return new Tensor('bool', (column as Uint8Array).subarray(from, to), dims);
    case 'BYTES':
      return new Tensor('string', column.slice(from, to) as string[], dims);
  }
}

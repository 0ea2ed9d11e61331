import type { TensorType } from '../../../workflows/domain/release';
import type { Batch } from './batching';
import { isTyped } from '../inference/conversion';
import type { PackedBatch, SessionInputs } from './executor-messages';

/** How many inputs of each datatype a session has: what the arrays of its batches are sized by. */
export type InputCounts = Readonly<Record<TensorType, number>>;

export function countInputs({ inputs }: SessionInputs): InputCounts {
  const counts = { FP32: 0, INT64: 0, BOOL: 0, BYTES: 0 };
  for (const input of inputs) counts[input.datatype] += 1;
  return counts;
}

/** Lays the items' columns one behind the other, so that item k's rows begin at the sum of the rows before it. */
export function packBatch(batch: Batch, { inputs }: SessionInputs, counts: InputCounts): PackedBatch {
  const { rows, items } = batch;
  const floats = new Float32Array(counts.FP32 * rows);
  const integers = new Float64Array(counts.INT64 * rows);
  const booleans = new Uint8Array(counts.BOOL * rows);
  const strings = new Array<string>(counts.BYTES * rows);
  let floatAt = 0;
  let integerAt = 0;
  let booleanAt = 0;
  let stringAt = 0;
  for (let input = 0; input < inputs.length; input += 1) {
    const datatype = inputs[input]!.datatype;
    for (let item = 0; item < items.length; item += 1) {
      const column = items[item]!.columns[input]!;
      if (isTyped(column)) {
        if (datatype === 'FP32') floats.set(column, (floatAt += column.length) - column.length);
        else if (datatype === 'INT64') integers.set(column, (integerAt += column.length) - column.length);
        else booleans.set(column, (booleanAt += column.length) - column.length);
        continue;
      }
      for (let row = 0; row < column.length; row += 1) {
        if (datatype === 'FP32') floats[floatAt++] = column[row] as number;
        else if (datatype === 'BYTES') strings[stringAt++] = column[row] as string;
        else if (datatype === 'INT64') integers[integerAt++] = column[row] as number;
        else booleans[booleanAt++] = column[row] as number;
      }
    }
  }
  return { rows, floats, integers, booleans, strings };
}

import { SlipwayError } from '../../workflows/domain/errors';
import type { InputSignature, TensorType } from '../../workflows/domain/release';
import { columnOf, type FeatureTable } from '../onnx/feature-table';

/**
 * One feature's values for all rows as gateways have them: FP32 and INT64 as doubles, BOOL as 0 and 1, BYTES as texts. Missing is NaN,
 * the smallest INT64 or the empty text.
 */
export type Values = readonly (number | string)[] | Float32Array | Float64Array;

const MISSING_INT64 = -9_223_372_036_854_775_808;

export function isMissing(value: number | string): boolean {
  return value === '' || value === MISSING_INT64 || value !== value;
}

export type InputName = Pick<InputSignature, 'name' | 'datatype' | 'type'>;

/** A snapshot's columns in the signature's order. */
export function valuesOfTable(table: FeatureTable, inputs: readonly Pick<InputSignature, 'name'>[]): Values[] {
  return inputs.map(({ name }) => {
    const column = columnOf(table, name);
    if (column instanceof BigInt64Array) return Float64Array.from(column, Number);
    return column instanceof Uint8Array ? Float64Array.from(column) : column;
  });
}

/** Throws INPUT_INVALID at the first missing value of a column that cannot say so to the server. */
export function refuseMissing(
  inputs: readonly InputName[],
  columns: readonly Values[],
  rows: number,
  mute: Mute,
): void {
  for (let at = 0; at < inputs.length; at += 1) {
    const { name, datatype } = inputs[at]!;
    if (!mute(datatype)) continue;
    const column = columns[at]!;
    for (let row = 0; row < rows; row += 1) {
      if (!isMissing(column[row]!)) continue;
      const detail = `row ${row}, feature ${JSON.stringify(name)}: the value is missing, and endpoint.yaml says of no way to send that`;
      throw new SlipwayError('INPUT_INVALID', detail, {
        advice: 'Send the value, or say in endpoint.yaml how the server takes what is `missing`, and import it again.',
      });
    }
  }
}

/** JSON has no infinity: it would go as null. Throws INPUT_INVALID at the first number that is none as an FP32 either. */
export function refuseInfinite(inputs: readonly InputName[], columns: readonly Values[], rows: number): void {
  for (let at = 0; at < inputs.length; at += 1) {
    const { name, datatype } = inputs[at]!;
    if (datatype !== 'FP32') continue;
    const column = columns[at]! as readonly number[];
    for (let row = 0; row < rows; row += 1)
      if (Math.abs(Math.fround(column[row]!)) === Infinity)
        throw new SlipwayError(
          'INPUT_INVALID',
          `row ${row}, feature ${JSON.stringify(name)}: the value is not finite, which JSON cannot say`,
        );
  }
}

/** Whether a missing value of the datatype cannot be said. */
export type Mute = (datatype: TensorType) => boolean;

import type { InputSignature } from '../../workflows/domain/release';
import type { SnapshotTable } from '../data/snapshot';
import { MISSING_INT64 } from './feature-table';
import type { Column, FeatureTable } from './feature-table';

/** A split's features as the raw inputs of a model. Throws TypeError where the snapshot lacks one. */
export function tableOfSnapshot(
  snapshot: SnapshotTable,
  inputs: readonly Pick<InputSignature, 'name' | 'datatype'>[],
): FeatureTable {
  const columns = inputs.map(({ name, datatype }) => {
    const values = snapshot.features[name];
    if (!values) throw new TypeError(`the snapshot has no column ${name}`);
    return [name, columnOf(values, datatype)] as const;
  });
  return { rows: snapshot.rows, columns: Object.fromEntries(columns) };
}

function columnOf(values: Float64Array | readonly (string | null)[], datatype: InputSignature['datatype']): Column {
  if (!(values instanceof Float64Array)) return values.map((value) => value ?? '');
  switch (datatype) {
    case 'INT64':
      return BigInt64Array.from(values, (value) => (Number.isNaN(value) ? MISSING_INT64 : BigInt(value)));
    case 'BOOL':
      return Uint8Array.from(values, (value) => (value === 1 ? 1 : 0));
    case 'FP32':
    case 'BYTES':
      return Float32Array.from(values);
  }
}

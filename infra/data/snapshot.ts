import type { FeatureSpec, FeatureType, ModelSpec } from '../../workflows/domain/spec';
import { quoteName, quoteText, type DuckDb } from './duckdb';

/**
 * DuckDB types of a snapshot's Parquet columns, which have the names that the spec declares: id VARCHAR, eventTime and knownAt
 * TIMESTAMP (UTC), the label DOUBLE (0 or 1 for `binary`), features as here. Numbers were rounded to FP32, because that is what
 * the served graph is given; missing is NULL. A timestamp feature is a TIMESTAMP too (`epoch_ms(column)` is its INT64).
 */
export const SNAPSHOT_COLUMN_TYPES: Readonly<Record<FeatureType, string>> = {
  number: 'DOUBLE',
  integer: 'BIGINT',
  category: 'VARCHAR',
  boolean: 'BOOLEAN',
  timestamp: 'TIMESTAMP',
};

/** Rows of one split in memory, in the file's order. */
export interface SnapshotTable {
  readonly rows: number;
  readonly ids: readonly string[];
  /** Epoch ms. */
  readonly eventTimes: Float64Array;
  readonly labels: Float64Array;
  /**
   * By feature name. Float64Array for number, integer, timestamp (epoch ms) and boolean (0, 1), NaN where missing; texts for category,
   * null where missing.
   */
  readonly features: Readonly<Record<string, Float64Array | readonly (string | null)[]>>;
}

/** Reads a split's Parquet file. The file must be one that `ingest` wrote; whoever opens foreign files does so in a limited child. */
export async function readSnapshot(
  db: DuckDb,
  path: string,
  spec: Pick<ModelSpec, 'data' | 'label' | 'features'>,
): Promise<SnapshotTable> {
  const select = [
    `${quoteName(spec.data.id)} AS "0_id"`,
    `epoch_ms(${quoteName(spec.data.eventTime)})::DOUBLE AS "0_event"`,
    `${quoteName(spec.label.column)} AS "0_label"`,
    ...spec.features.map((feature, position) => `${asValue(feature)} AS "f${position}"`),
  ];
  const columns = await db.columns(`SELECT ${select.join(', ')} FROM read_parquet(${quoteText(path)})`);
  const labels = columns['0_label'] as Float64Array;
  return {
    rows: labels.length,
    ids: columns['0_id'] as string[],
    eventTimes: columns['0_event'] as Float64Array,
    labels,
    features: Object.fromEntries(spec.features.map((feature, position) => [feature.name, columns[`f${position}`]!])),
  };
}

function asValue(feature: FeatureSpec): string {
  const column = quoteName(feature.name);
  switch (feature.type) {
    case 'number':
    case 'category':
      return column;
    case 'integer':
      return `${column}::DOUBLE`;
    case 'boolean':
      return `${column}::INTEGER::DOUBLE`;
    case 'timestamp':
      return `epoch_ms(${column})::DOUBLE`;
  }
}

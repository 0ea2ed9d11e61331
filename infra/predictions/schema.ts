/**
 * Columns of the prediction log (Parquet under `keys.predictions`), one row per scored row of a request. After these come the
 * inputs, one column each, named `x.<feature>` with the DuckDB type of INPUT_COLUMN_TYPES.
 */
export const PREDICTION_COLUMNS = {
  request_id: 'VARCHAR',
  event_time: 'TIMESTAMP',
  received_at: 'TIMESTAMP',
  generation: 'INTEGER',
  arm: 'VARCHAR',
  release: 'INTEGER',
  assignment_key: 'VARCHAR',
  /** `ok` or an error code of the catalogue. */
  status: 'VARCHAR',
  score: 'DOUBLE',
  /** Score of the other arm on the same row where the route pairs them; null otherwise. */
  paired_release: 'INTEGER',
  paired_score: 'DOUBLE',
  latency_us: 'INTEGER',
} as const;

/** `timestamp` features are kept as epoch ms. */
export const INPUT_COLUMN_TYPES = {
  number: 'DOUBLE',
  integer: 'BIGINT',
  category: 'VARCHAR',
  boolean: 'BOOLEAN',
  timestamp: 'BIGINT',
} as const;

/** Columns of label files under `keys.labels`; the newest `known_at` of a request counts. */
export const LABEL_COLUMNS = {
  request_id: 'VARCHAR',
  label: 'DOUBLE',
  event_time: 'TIMESTAMP',
  known_at: 'TIMESTAMP',
} as const;

/**
 * Columns of the prediction log (Parquet under `keys.predictions`), one row per scored row of a request. A flush of the log makes one
 * object for each event day in it. After these come the
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
  /** `ok` or an error code of the catalogue. With INPUT_INVALID and no score of either arm, the request was refused: its inputs are null. */
  status: 'VARCHAR',
  score: 'DOUBLE',
  /** Score of the other arm on the same row where the route pairs them; null otherwise. */
  paired_release: 'INTEGER',
  paired_score: 'DOUBLE',
  latency_us: 'INTEGER',
  /** Share of requests that are logged, by a hash of their id: a row stands for 1 / sample of them. Null in older parts: 1. */
  sample: 'DOUBLE',
  /** Of the caller's W3C trace context; null where there was none. */
  trace_id: 'VARCHAR',
} as const;

/** `arm` of what a tester asked of an arm: no traffic of the rollout. */
export const OVERRIDE_ARM = 'override';

/** SQL: whether the row is of a request whose values were refused, so that nobody scored it. */
export const REFUSED = `(status = 'INPUT_INVALID' AND score IS NULL AND paired_score IS NULL)`;

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

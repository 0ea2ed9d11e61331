import type { FeatureSpec, FeatureType, Task } from '../../workflows/domain/spec';
import { quoteText } from '../../infra/data/duckdb';

/** Families of DuckDB types: what a declared type is read from. */
export type Family = 'text' | 'integer' | 'float' | 'boolean' | 'timestamp' | 'other';
export type ColumnType = FeatureType | 'id' | 'label';

/** When a row is bad. `when` makes the condition of the SQL of the canonical value; NULL counts as not. */
export interface Rule {
  readonly when: (value: string) => string;
  readonly reason: string;
}

export interface Declared {
  readonly name: string;
  readonly type: ColumnType;
  readonly feature: FeatureSpec | null;
  /** Whether a missing value makes the row bad. */
  readonly required: boolean;
}

export function familyOf(type: string): Family {
  if (/^(VARCHAR|ENUM|UUID)/.test(type)) return 'text';
  if (/^U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$/.test(type)) return 'integer';
  if (/^(FLOAT|DOUBLE|DECIMAL)/.test(type)) return 'float';
  if (type === 'BOOLEAN') return 'boolean';
  return /^(TIMESTAMP|DATE)/.test(type) ? 'timestamp' : 'other';
}

/**
 * SQL of the canonical value of a source column (`source` is its quoted name): the same value whatever the file's format was: CSV text,
 * narrow integers, FP32 or FP64, any timestamp precision. NULL where it is missing or cannot be read; `rulesOf` tells these apart.
 */
export function canonicalValue(type: ColumnType, source: string, family: Family): string {
  const text = family === 'text';
  switch (type) {
    case 'number':
      return roundToFp32(asDouble(source, family));
    case 'label':
      if (family === 'boolean') return `${source}::INTEGER::DOUBLE`;
      return text
        ? `coalesce(${roundToFp32(asDouble(source, family))}, TRY_CAST(${source} AS BOOLEAN)::INTEGER::DOUBLE)`
        : roundToFp32(asDouble(source, family));
    case 'integer':
      if (family === 'integer') return `TRY_CAST(${source} AS BIGINT)`;
      return `CASE WHEN ${asDouble(source, family)} = trunc(${asDouble(source, family)}) THEN TRY_CAST(${source} AS BIGINT) END`;
    case 'boolean':
      return text ? `TRY_CAST(${source} AS BOOLEAN)` : source;
    case 'timestamp':
      return plausibleInstant(instantOf(source, family));
    case 'id':
    case 'category':
      return `nullif(${source}::VARCHAR, '')`;
  }
}

/** The first rule that holds is the row's reason. */
export function rulesOf(declared: Declared, source: string, family: Family, task: Task): Rule[] {
  const { name, feature } = declared;
  const rules = unreadableRules(declared.type, source, family, task);
  if (declared.required) rules.push({ when: (value) => `${value} IS NULL`, reason: 'missing' });
  if (feature?.range) {
    const [low, high] = feature.range;
    // Held against the value as it came, before it was rounded to FP32: 0.1 is inside [0, 0.1].
    rules.push({
      when: () => `${asDouble(source, family)} NOT BETWEEN ${low} AND ${high}`,
      reason: `outside [${low}, ${high}]`,
    });
  }
  if (feature?.values) {
    const allowed = feature.values.map(quoteText).join(', ');
    rules.push({ when: (value) => `${value} NOT IN (${allowed})`, reason: 'not one of the declared values' });
  }
  if (declared.type === 'label' && task === 'binary') {
    rules.push({ when: (value) => `${value} NOT IN (0, 1)`, reason: 'not 0 or 1' });
  }
  return rules.map(({ when, reason }) => ({ when, reason: `${name}: ${reason}` }));
}

function unreadableRules(type: ColumnType, source: string, family: Family, task: Task): Rule[] {
  const given = family === 'text' ? `coalesce(${source}::VARCHAR, '') <> ''` : `${source} IS NOT NULL`;
  const lost = (reason: string): Rule => ({ when: (value) => `${given} AND ${value} IS NULL`, reason });
  const double = asDouble(source, family);
  switch (type) {
    case 'number':
      return [
        ...(family === 'text' ? [{ when: () => `${given} AND ${double} IS NULL`, reason: 'not a number' }] : []),
        { when: (value) => `isinf(${value}) OR (${value} IS NULL AND NOT isnan(${double}))`, reason: 'not finite' },
      ];
    case 'integer':
      return [
        {
          when: (value) => `${given} AND NOT isnan(coalesce(${double}, 0)) AND ${value} IS NULL`,
          reason: 'not a whole number',
        },
      ];
    case 'label':
      return [
        lost(task === 'binary' ? 'not 0 or 1' : 'not a number'),
        { when: (value) => `isinf(${value})`, reason: 'not finite' },
      ];
    case 'boolean':
      return [lost('not true or false')];
    case 'timestamp':
      return [lost('not an instant')];
    case 'id':
    case 'category':
      return [];
  }
}

const asDouble = (source: string, family: Family): string =>
  family === 'text' ? `TRY_CAST(${source} AS DOUBLE)` : `${source}::DOUBLE`;

/** NaN is missing; adding 0 makes -0 and 0 the same. */
const roundToFp32 = (double: string): string => `nullif(TRY_CAST(${double} AS FLOAT)::DOUBLE + 0, 'NaN'::DOUBLE)`;

/** Years 1 to 9999, in epoch ms: what epoch_ms and interval arithmetic can hold. */
const EPOCH_MS_RANGE = '-62135596800000 AND 253402300799999';

/** Text with an offset is converted to UTC (a plain cast to TIMESTAMP would drop the offset); twelve digits and more are epoch ms. */
function instantOf(source: string, family: Family): string {
  const ofEpoch = (epochMs: string): string =>
    `CASE WHEN ${epochMs} BETWEEN ${EPOCH_MS_RANGE} THEN epoch_ms(${epochMs}) END`;
  if (family === 'integer') return ofEpoch(`TRY_CAST(${source} AS BIGINT)`);
  if (family !== 'text') return `TRY_CAST(${source} AS TIMESTAMP)`;
  const digits = `CASE WHEN regexp_full_match(${source}, '-?[0-9]{12,15}') THEN TRY_CAST(${source} AS BIGINT) END`;
  return `coalesce(TRY_CAST(${source} AS TIMESTAMPTZ)::TIMESTAMP, ${ofEpoch(`(${digits})`)})`;
}

const plausibleInstant = (instant: string): string =>
  `CASE WHEN (${instant}) BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999' THEN (${instant}) END`;

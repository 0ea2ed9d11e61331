import { SlipwayError } from '../../workflows/domain/errors';
import type { FeatureSpec, FeatureType, ModelSpec } from '../../workflows/domain/spec';
import { SNAPSHOT_COLUMN_TYPES } from '../../infra/data/snapshot';
import { quoteName, quoteText } from '../../infra/data/duckdb';
import { nearest } from '../../infra/spec/nearest';
import type { OpenSource } from './source';

/** Families of DuckDB types; what a declared type may be read from. */
type Family = 'text' | 'integer' | 'float' | 'boolean' | 'timestamp' | 'other';
export type ColumnType = FeatureType | 'id' | 'label';

const FAMILIES: Readonly<Record<ColumnType, readonly Family[]>> = {
  number: ['integer', 'float'],
  integer: ['integer', 'float'],
  category: ['text', 'integer'],
  boolean: ['boolean'],
  timestamp: ['timestamp', 'integer'],
  id: ['text', 'integer'],
  label: ['integer', 'float', 'boolean'],
};

/** One declared column: how its canonical value is made, and when a row is bad because of it. */
export interface ReadColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** For the snapshot's digest. */
  readonly unit: string;
  readonly sqlType: string;
  /** SQL of the canonical value of the source's column; NULL where it is missing or cannot be read. */
  readonly value: string;
  /** The source's own value as text, for the quarantine file. */
  readonly raw: string;
  /** [SQL condition, reason], the first that holds counts. In conditions `{v}` is the canonical value, `{r}` the source's. */
  readonly rules: readonly (readonly [string, string])[];
}

interface Declared {
  readonly name: string;
  readonly type: ColumnType;
  readonly feature: FeatureSpec | null;
  readonly required: boolean;
}

/**
 * Declared columns against the source's. Throws DATA_LABEL where only the label is missing, otherwise DATA_SCHEMA naming every
 * column that is missing (with the nearest name) or of a type that cannot be read as declared.
 */
export function matchColumns(spec: ModelSpec, source: OpenSource): ReadColumn[] {
  const problems: string[] = [];
  const byName = new Map([...source.columns].map(([name, type]) => [name.toLowerCase(), { name, type }]));
  let labelMissing = false;
  const read = declaredColumns(spec).flatMap((declared) => {
    const found = byName.get(declared.name.toLowerCase());
    if (!found) {
      const missing = `there is no column ${declared.name}${suggestion(declared.name, [...source.columns.keys()])}`;
      if (declared.name === spec.label.column) labelMissing = true;
      problems.push(missing);
      return [];
    }
    const family = source.format === 'csv' ? 'text' : familyOf(found.type);
    if (source.format === 'parquet' && !FAMILIES[declared.type].includes(family)) {
      problems.push(`column ${declared.name} is ${found.type}, which cannot be read as ${declared.type}`);
      return [];
    }
    return [readColumn(declared, found.name, family, spec)];
  });
  if (problems.length === 0) return read;
  const code = labelMissing && problems.length === 1 ? 'DATA_LABEL' : 'DATA_SCHEMA';
  throw new SlipwayError(code, `${spec.data.source}: ${problems.join('; ')}`);
}

function suggestion(name: string, columns: readonly string[]): string {
  const near = nearest(name, columns);
  if (near !== undefined) return `; did you mean ${near}?`;
  return ` (there are ${columns.slice(0, 20).join(', ')}${columns.length > 20 ? ', …' : ''})`;
}

/** Id, event time, label and the features, each column once: the event time may be a feature as well. */
function declaredColumns(spec: ModelSpec): Declared[] {
  const { data, label } = spec;
  const eventFeature = spec.features.find((feature) => feature.name === data.eventTime) ?? null;
  return [
    { name: data.id, type: 'id', feature: null, required: true },
    { name: data.eventTime, type: 'timestamp', feature: eventFeature, required: true },
    { name: label.column, type: 'label', feature: null, required: false },
    ...(label.knownAt === null
      ? []
      : [{ name: label.knownAt, type: 'timestamp' as const, feature: null, required: false }]),
    ...spec.features
      .filter((feature) => feature !== eventFeature)
      .map((feature) => ({ name: feature.name, type: feature.type, feature, required: !feature.nullable })),
  ];
}

export function familyOf(type: string): Family {
  if (/^(VARCHAR|ENUM|UUID)/.test(type)) return 'text';
  if (/^U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$/.test(type)) return 'integer';
  if (/^(FLOAT|DOUBLE|DECIMAL)/.test(type)) return 'float';
  if (type === 'BOOLEAN') return 'boolean';
  return /^(TIMESTAMP|DATE)/.test(type) ? 'timestamp' : 'other';
}

function readColumn(declared: Declared, sourceName: string, family: Family, spec: ModelSpec): ReadColumn {
  const source = quoteName(sourceName);
  const value = canonicalValue(declared.type, source, family);
  const { name, type, feature } = declared;
  const rules: (readonly [string, string])[] = [];
  rules.push(...unreadableRules(type, family, spec));
  if (declared.required) rules.push(['{v} IS NULL', `${name}: missing`]);
  if (feature?.range) {
    const [low, high] = feature.range;
    rules.push([`${asNumber(family)} NOT BETWEEN ${low} AND ${high}`, `${name}: outside [${low}, ${high}]`]);
  }
  if (feature?.values)
    rules.push([`{v} NOT IN (${feature.values.map(quoteText).join(', ')})`, `${name}: not one of the declared values`]);
  if (type === 'label' && spec.task === 'binary') rules.push(['{v} NOT IN (0, 1)', `${name}: not 0 or 1`]);
  return {
    name,
    type,
    unit: feature?.unit ?? '',
    sqlType: type === 'id' ? 'VARCHAR' : type === 'label' ? 'DOUBLE' : SNAPSHOT_COLUMN_TYPES[type],
    value,
    raw: `${source}::VARCHAR`,
    rules: rules.map(([condition, reason]) => [condition.replaceAll('{r}', source), reason.replace('{n}', () => name)]),
  };
}

/** A range is held against the value as it came, before it was rounded to FP32: 0.1 is inside [0, 0.1]. */
const asNumber = (family: Family): string => (family === 'text' ? 'TRY_CAST({r} AS DOUBLE)' : '{r}::DOUBLE');

function unreadableRules(type: ColumnType, family: Family, spec: ModelSpec): (readonly [string, string])[] {
  const given = family === 'text' ? "coalesce({r}::VARCHAR, '') <> ''" : '{r} IS NOT NULL';
  switch (type) {
    case 'number':
      return [
        ...(family === 'text' ? [[`${given} AND TRY_CAST({r} AS DOUBLE) IS NULL`, '{n}: not a number'] as const] : []),
        [`isinf({v}) OR ({v} IS NULL AND NOT isnan(${asNumber(family)}))`, '{n}: not finite'],
      ];
    case 'integer':
      return family === 'integer'
        ? []
        : [[`${given} AND NOT isnan(coalesce(${asNumber(family)}, 0)) AND {v} IS NULL`, '{n}: not a whole number']];
    case 'boolean':
      return [[`${given} AND {v} IS NULL`, '{n}: not true or false']];
    case 'timestamp':
      return [[`${given} AND {v} IS NULL`, '{n}: not an instant']];
    case 'label':
      return [[`${given} AND {v} IS NULL`, spec.task === 'binary' ? '{n}: not 0 or 1' : '{n}: not a number']];
    case 'id':
    case 'category':
      return [];
  }
}

/** Same value, same canonical value, whatever the file's format: CSV text, narrow integers, FP32 or FP64, any timestamp precision. */
function canonicalValue(type: ColumnType, source: string, family: Family): string {
  const text = family === 'text';
  const double = text ? `TRY_CAST(${source} AS DOUBLE)` : `${source}::DOUBLE`;
  switch (type) {
    case 'number':
      return roundToFp32(double);
    case 'label':
      if (family === 'boolean') return `${source}::INTEGER::DOUBLE`;
      return text
        ? `coalesce(${roundToFp32(double)}, TRY_CAST(${source} AS BOOLEAN)::INTEGER::DOUBLE)`
        : roundToFp32(double);
    case 'integer':
      if (family === 'integer') return `TRY_CAST(${source} AS BIGINT)`;
      return `CASE WHEN ${double} = trunc(${double}) THEN TRY_CAST(${source} AS BIGINT) END`;
    case 'boolean':
      return text ? `TRY_CAST(${source} AS BOOLEAN)` : source;
    case 'timestamp':
      return finiteInstant(
        text ? instantOfText(source) : family === 'integer' ? `epoch_ms(${source}::BIGINT)` : `${source}::TIMESTAMP`,
      );
    case 'id':
    case 'category':
      return `nullif(${source}::VARCHAR, '')`;
  }
}

/** NaN is missing; adding 0 makes -0 and 0 the same. */
const roundToFp32 = (double: string): string => `nullif(TRY_CAST(${double} AS FLOAT)::DOUBLE + 0, 'NaN'::DOUBLE)`;

/** Text with an offset is converted to UTC (a plain cast to TIMESTAMP would drop the offset); twelve digits and more are epoch ms. */
const instantOfText = (source: string): string =>
  `coalesce(TRY_CAST(${source} AS TIMESTAMPTZ)::TIMESTAMP, CASE WHEN regexp_full_match(${source}, '-?[0-9]{12,15}') THEN epoch_ms(TRY_CAST(${source} AS BIGINT)) END)`;

const finiteInstant = (instant: string): string => `CASE WHEN isfinite(${instant}) THEN ${instant} END`;

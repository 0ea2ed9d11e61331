import { SlipwayError } from '../../workflows/domain/errors';
import type { ModelSpec, Task } from '../../workflows/domain/spec';
import { SNAPSHOT_COLUMN_TYPES } from '../../infra/data/snapshot';
import { quoteName } from '../../infra/data/duckdb';
import { nearest } from '../../infra/spec/nearest';
import { canonicalValue, familyOf, rulesOf, type ColumnType, type Declared, type Family, type Rule } from './canonical';
import type { OpenSource } from './source';

/** What each declared type may be read from in Parquet; CSV is all text. */
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
  readonly rules: readonly Rule[];
}

/**
 * Declared columns against the source's. Throws DATA_LABEL where only the label is missing, otherwise DATA_SCHEMA naming every
 * column that is missing (with the nearest name) or of a type that cannot be read as declared.
 */
export function matchColumns(spec: ModelSpec, source: OpenSource): ReadColumn[] {
  const problems: string[] = [];
  const byName = new Map([...source.columns].map(([name, type]) => [name.toLowerCase(), { name, type }]));
  let labelMissing = false;
  const wanted = declaredColumns(spec);
  // A CSV file without a header gives the values of its first row as names, which are not to be shown (invariant I10).
  const named = source.format !== 'csv' || wanted.some(({ name }) => byName.has(name.toLowerCase()));
  if (!named) problems.push('its first line names none of the declared columns, so it may be no header');
  const read = wanted.flatMap((declared) => {
    const found = byName.get(declared.name.toLowerCase());
    if (!found) {
      const missing = `there is no column ${declared.name}${named ? suggestion(declared.name, [...source.columns.keys()]) : ''}`;
      if (declared.name === spec.label.column) labelMissing = true;
      problems.push(missing);
      return [];
    }
    const family = source.format === 'csv' ? 'text' : familyOf(found.type);
    if (source.format === 'parquet' && !FAMILIES[declared.type].includes(family)) {
      problems.push(`column ${declared.name} is ${found.type}, which cannot be read as ${declared.type}`);
      return [];
    }
    return [readColumn(declared, found.name, family, spec.task)];
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

function readColumn(declared: Declared, sourceName: string, family: Family, task: Task): ReadColumn {
  const source = quoteName(sourceName);
  const { name, type, feature } = declared;
  return {
    name,
    type,
    unit: feature?.unit ?? '',
    sqlType: type === 'id' ? 'VARCHAR' : type === 'label' ? 'DOUBLE' : SNAPSHOT_COLUMN_TYPES[type],
    value: canonicalValue(type, source, family),
    raw: `${source}::VARCHAR`,
    rules: rulesOf(declared, source, family, task),
  };
}

import {
  PROFILE_CATEGORIES,
  profileNumbers,
  profileTimestamps,
  type CategoryProfile,
  type FeatureProfile,
  type Profile,
} from '../../workflows/domain/profile';
import type { FeatureSpec, ModelSpec } from '../../workflows/domain/spec';
import type { SplitName } from '../../workflows/domain/run';
import { quoteName, quoteText, type DuckDb } from '../../infra/data/duckdb';

const REFERENCE = 'FROM reference WHERE true';

/** Reference statistics of one split: what serving is compared with. One column at a time is in memory; bins are counted there, because DuckDB is slow at them. */
export async function profileSnapshot(db: DuckDb, spec: ModelSpec, reference: SplitName): Promise<Profile> {
  await db.run(`CREATE TEMPORARY VIEW reference AS SELECT * FROM snapshot WHERE "0_split" = ${quoteText(reference)}`);
  const features: Record<string, FeatureProfile> = {};
  for (const feature of spec.features) features[feature.name] = await profileFeature(db, feature);
  const label = quoteName(spec.label.column);
  const [row] = await db.rows<{ rows: number; mean: number; sd: number }>(
    `SELECT count(*) AS rows, avg(${label}) AS mean, stddev_pop(${label}) AS sd ${REFERENCE}`,
  );
  return {
    schema: 'slipway.profile/1',
    rows: Number(row!.rows),
    features,
    label: { mean: row!.mean, sd: row!.sd },
    scores: null,
  };
}

async function profileFeature(db: DuckDb, feature: FeatureSpec): Promise<FeatureProfile> {
  const column = quoteName(feature.name);
  switch (feature.type) {
    case 'number':
    case 'integer':
      return profileNumbers(await readNumbers(db, `${column}::DOUBLE`));
    case 'timestamp':
      return profileTimestamps(await readNumbers(db, `epoch_ms(${column})::DOUBLE`));
    case 'category':
    case 'boolean':
      return profileCategory(db, column);
  }
}

async function readNumbers(db: DuckDb, value: string): Promise<Float64Array> {
  const columns = await db.columns(`SELECT ${value} AS value ${REFERENCE}`);
  return columns['value'] as Float64Array;
}

/** As `profileCategories` of the domain, counted by DuckDB: texts of millions of rows need not come here. */
async function profileCategory(db: DuckDb, column: string): Promise<CategoryProfile> {
  const top = await db.rows<{ value: string; rows: number }>(
    `SELECT ${column}::VARCHAR AS value, count(*) AS rows ${REFERENCE} AND ${column} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ${PROFILE_CATEGORIES}`,
  );
  const [all] = await db.rows<{ known: number; missing: number }>(
    `SELECT count(${column}) AS known, count(*) - count(${column}) AS missing ${REFERENCE}`,
  );
  const counts = top.map((row) => Number(row.rows));
  return {
    kind: 'category',
    values: top.map((row) => row.value),
    counts,
    other: Number(all!.known) - counts.reduce((sum, count) => sum + count, 0),
    missing: Number(all!.missing),
  };
}

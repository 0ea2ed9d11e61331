import { mkdir } from 'node:fs/promises';
import { keys } from '../../workflows/domain/keys';
import { applyCalibration, type CalibrationMap } from '../../workflows/domain/statistics/calibration-map';
import type { ModelName } from '../../workflows/domain/names';
import { quoteName, quoteText, withDuckDb, type DuckDb } from '../data/duckdb';
import type { ObjectStore } from '../object-store/port';
import { createPartMirror, daysBetween, spanOf, type PartMirror } from './mirror';
import { INPUT_COLUMN_TYPES, LABEL_COLUMNS, OVERRIDE_ARM, PREDICTION_COLUMNS, REFUSED } from './schema';

const DAY_MS = 86_400_000;
/** SQL: the requests that a row stands for. Older parts do not say their share: all of them. */
const WEIGHT = '(1 / coalesce(sample, 1))';

/** Numbers as Float64Array with NaN for null; text with null. */
export type Columns = Readonly<Record<string, Float64Array | readonly (string | null)[]>>;

export interface PairedRows {
  /** Rows that both arms scored, of which `labels.length` have a label that was known in time. */
  readonly paired: number;
  readonly labels: Float64Array;
  readonly champion: Float64Array;
  readonly challenger: Float64Array;
}

export interface PairedQuery {
  readonly model: ModelName;
  /** UTC event day. */
  readonly day: string;
  /** Generations of the rollout. */
  readonly generations: readonly number[];
  /** Version of the challenger's release. */
  readonly challenger: number;
  /** Event times before this do not count: the rollout had not begun. */
  readonly fromMs: number;
  /** Labels known later do not count. */
  readonly asOfMs: number;
}

export interface WindowQuery {
  readonly model: ModelName;
  readonly fromMs: number;
  readonly toMs: number;
  /** Release whose scores are wanted. Null: of any. */
  readonly release: number | null;
  readonly asOfMs: number;
}

/**
 * Sums over the labelled rows of a day, for calibration, and rows with and without labels. Rows are counted as they were logged: they are
 * the evidence. The sums are of requests, each row 1 / sample of them: a release that becomes champion changes the share that is logged,
 * and the days at the larger share would outweigh the others.
 */
export interface DayScores {
  readonly day: string;
  readonly rows: number;
  readonly labelled: number;
  /** Requests that the labelled rows stand for. */
  readonly requests: number;
  readonly scoreSum: number;
  readonly labelSum: number;
}

export interface PredictionReader {
  /**
   * Rows of one day that both arms scored, each request once, with the newest label known at `asOfMs`. Every row counts once: what share
   * of requests is logged is the champion's to say, and that stays the same for a rollout.
   */
  pairedRows(query: PairedQuery): Promise<PairedRows>;
  /**
   * By event day, ascending; scores and labels of labelled rows only, `rows` of all that were answered. With a map, what it makes of each
   * score is summed in the score's place.
   */
  dayScores(query: WindowQuery, map?: CalibrationMap | null): Promise<DayScores[]>;
  /** Requests by status (`ok` or an error code), each once: as many as were answered, where only a share of them is logged. Whole numbers. */
  statuses(query: WindowQuery): Promise<Readonly<Record<string, number>>>;
  /**
   * Rows of an even sample that would say as much of a share of the requests as the logged ones do: (sum of weights)^2 / sum of squared
   * weights (Kish 1965, Survey Sampling, section 11.7), a row's weight being 1 / sample. The logged rows where all have the same weight.
   */
  evenRows(query: WindowQuery): Promise<number>;
  /**
   * Inputs that reached a model, each request once: one column for each name in `inputs`, numbers and timestamps as Float64Array,
   * categories and booleans as text. A column that no part has is all missing. Every row counts once: those of a release's rollout, logged
   * at the share of the champion before it, are none of its business a window later.
   */
  inputs(query: WindowQuery, inputs: Readonly<Record<string, keyof typeof INPUT_COLUMN_TYPES>>): Promise<Columns>;
}

/** Reads predictions and labels through DuckDB from local copies below `cacheFolder`. */
export function createPredictionReader(store: ObjectStore, cacheFolder: string): PredictionReader {
  const mirror = createPartMirror(store, cacheFolder);
  const reading: Reading = { mirror, cacheFolder };
  return {
    pairedRows: (query) => readPairedRows(reading, query),
    dayScores: (query, map = null) => readDayScores(reading, query, map),
    statuses: (query) => readStatuses(reading, query),
    evenRows: (query) => readEvenRows(reading, query),
    inputs: (query, inputs) => readInputs(reading, query, inputs),
  };
}

interface Reading {
  readonly mirror: PartMirror;
  readonly cacheFolder: string;
}

async function readPairedRows(reading: Reading, query: PairedQuery): Promise<PairedRows> {
  const { fromMs, toMs } = spanOf(query.day);
  const sources = await sourcesOf(reading, query.model, Math.max(fromMs, query.fromMs), toMs);
  const generations = query.generations.map(Math.trunc).join(', ') || 'NULL';
  const columns = await inDuckDb(reading, (db) =>
    db.columns(`
      WITH ${predictionsOnce(sources)}, ${newestLabels(sources, query.asOfMs)}
      SELECT label,
        CASE WHEN arm = 'challenger' THEN paired_score ELSE score END AS champion,
        CASE WHEN arm = 'challenger' THEN score ELSE paired_score END AS challenger
      FROM predictions LEFT JOIN labels USING (request_id)
      WHERE status = 'ok' AND score IS NOT NULL AND paired_score IS NOT NULL AND generation IN (${generations})
        AND ((arm = 'challenger' AND release = ${query.challenger}) OR (arm = 'champion' AND paired_release = ${query.challenger}))
      ORDER BY request_id`),
  );
  const known = rowsWhere(columns['label'], (label) => !Number.isNaN(label));
  const pick = (name: string): Float64Array => Float64Array.from(known, (row) => (columns[name] as Float64Array)[row]!);
  return {
    paired: columns['label']?.length ?? 0,
    labels: pick('label'),
    champion: pick('champion'),
    challenger: pick('challenger'),
  };
}

async function readDayScores(reading: Reading, query: WindowQuery, map: CalibrationMap | null): Promise<DayScores[]> {
  const sources = await sourcesOf(reading, query.model, query.fromMs, query.toMs);
  const [rows, calibrated] = await inDuckDb(reading, async (db) => [
    await db.rows<
      { day: string; rows: number; labelled: number } & Record<'requests' | 'score_sum' | 'label_sum', number | null>
    >(`
      WITH ${predictionsOnce(sources)}, ${newestLabels(sources, query.asOfMs)}
      SELECT strftime(event_time, '%Y-%m-%d') AS day, count(*)::DOUBLE AS rows, count(label)::DOUBLE AS labelled,
        sum(${WEIGHT}) FILTER (label IS NOT NULL) AS requests,
        sum(${WEIGHT} * score) FILTER (label IS NOT NULL) AS score_sum, sum(${WEIGHT} * label) AS label_sum
      FROM predictions LEFT JOIN labels USING (request_id)
      WHERE status = 'ok' AND score IS NOT NULL ${ofRelease(query)} GROUP BY day ORDER BY day`),
    map && (await sumCalibrated(db, sources, query, map)),
  ]);
  return rows.map((row) => ({
    day: row.day,
    rows: row.rows,
    labelled: row.labelled,
    requests: row.requests ?? 0,
    scoreSum: (calibrated ? calibrated.get(row.day) : row.score_sum) ?? 0,
    labelSum: row.label_sum ?? 0,
  }));
}

/** By day. The map is applied here and not in SQL, so that it is the same one everywhere. */
async function sumCalibrated(
  db: DuckDb,
  sources: Sources,
  query: WindowQuery,
  map: CalibrationMap,
): Promise<ReadonlyMap<string, number>> {
  const columns = await db.columns(`
    WITH ${predictionsOnce(sources)}, ${newestLabels(sources, query.asOfMs)}
    SELECT date_diff('day', TIMESTAMP '1970-01-01', event_time)::DOUBLE AS day, score::DOUBLE AS score, sum(${WEIGHT}) AS requests
    FROM predictions JOIN labels USING (request_id)
    WHERE status = 'ok' AND score IS NOT NULL AND label IS NOT NULL ${ofRelease(query)}
    GROUP BY ALL ORDER BY day, score`);
  const [days, scores, requests] = ['day', 'score', 'requests'].map((name) => columns[name] as Float64Array);
  const sums = new Map<string, number>();
  for (let row = 0; row < days!.length; row += 1) {
    const day = new Date(days![row]! * DAY_MS).toISOString().slice(0, 10);
    sums.set(day, (sums.get(day) ?? 0) + requests![row]! * applyCalibration(map, scores![row]!));
  }
  return sums;
}

async function readStatuses(reading: Reading, query: WindowQuery): Promise<Record<string, number>> {
  const sources = await sourcesOf(reading, query.model, query.fromMs, query.toMs);
  const rows = await inDuckDb(reading, (db) =>
    db.rows<{ status: string; requests: number }>(`
      WITH ${predictionsOnce(sources)}
      SELECT status, round(sum(${WEIGHT})) AS requests FROM predictions WHERE true ${ofRelease(query)} GROUP BY status`),
  );
  return Object.fromEntries(rows.map(({ status, requests }) => [status, requests]));
}

async function readEvenRows(reading: Reading, query: WindowQuery): Promise<number> {
  const sources = await sourcesOf(reading, query.model, query.fromMs, query.toMs);
  const [found] = await inDuckDb(reading, (db) =>
    db.rows<{ rows: number | null }>(`
      WITH ${predictionsOnce(sources)}
      SELECT round(sum(${WEIGHT}) ^ 2 / sum(${WEIGHT} ^ 2)) AS rows FROM predictions WHERE true ${ofRelease(query)}`),
  );
  return found?.rows ?? 0;
}

function ofRelease(query: WindowQuery): string {
  return query.release === null ? '' : `AND release = ${Math.trunc(query.release)}`;
}

async function readInputs(
  reading: Reading,
  query: WindowQuery,
  inputs: Readonly<Record<string, keyof typeof INPUT_COLUMN_TYPES>>,
): Promise<Columns> {
  const sources = await sourcesOf(reading, query.model, query.fromMs, query.toMs);
  return inDuckDb(reading, async (db) => {
    const described = await db.rows<{ column_name: string }>(`DESCRIBE ${sources.predictions}`);
    const present = new Set(described.map((row) => row.column_name));
    const selected = Object.entries(inputs).map(([name, type]) => {
      const isNumber = INPUT_COLUMN_TYPES[type] === 'DOUBLE' || INPUT_COLUMN_TYPES[type] === 'BIGINT';
      const source = present.has(`x.${name}`) ? quoteName(`x.${name}`) : 'NULL';
      return `CAST(${source} AS ${isNumber ? 'DOUBLE' : 'VARCHAR'}) AS ${quoteName(name)}`;
    });
    return db.columns(`
      WITH ${predictionsOnce(sources)}
      SELECT ${selected.join(', ')} FROM predictions
      WHERE status IN ('ok', 'INFERENCE_FAILED') ${ofRelease(query)} ORDER BY request_id`);
  });
}

interface Sources {
  /** SELECTs over the parts, with all columns of the schema: null where parts are older than the column. */
  readonly predictions: string;
  readonly labels: string;
  readonly fromMs: number;
  readonly toMs: number;
}

async function sourcesOf(reading: Reading, model: ModelName, fromMs: number, toMs: number): Promise<Sources> {
  const days = daysBetween(fromMs, toMs);
  const predictions = await reading.mirror.parts(keys.predictions(model), days);
  const labels = await reading.mirror.parts(keys.labels(model), days);
  return {
    predictions: selectFrom(predictions, PREDICTION_COLUMNS),
    labels: selectFrom(labels, LABEL_COLUMNS),
    fromMs,
    toMs,
  };
}

function selectFrom(paths: readonly string[], columns: Readonly<Record<string, string>>): string {
  const named = Object.entries(columns).map(([name, type]) => `NULL::${type} AS ${name}`);
  const empty = `SELECT ${named.join(', ')} WHERE false`;
  if (paths.length === 0) return empty;
  const parts = `SELECT * FROM read_parquet([${paths.map(quoteText).join(', ')}], union_by_name = true)`;
  return `${parts} UNION ALL BY NAME ${empty}`;
}

/**
 * A gateway that restarts may log a row again, and a client may ask again: the first answer counts, and never a shadow's. A refusal counts
 * where no answer followed: a caller who sends the same request again, put right, was answered. What a tester asked of an arm is nobody's traffic.
 */
function predictionsOnce(sources: Sources): string {
  return `predictions AS (
    SELECT * FROM (${sources.predictions})
    WHERE event_time >= epoch_ms(${Math.trunc(sources.fromMs)}) AND event_time < epoch_ms(${Math.trunc(sources.toMs)}) AND arm <> '${OVERRIDE_ARM}'
    QUALIFY row_number() OVER (PARTITION BY request_id
      ORDER BY arm NOT IN ('champion', 'challenger'), ${REFUSED}, received_at, generation, arm) = 1)`;
}

function newestLabels(sources: Sources, asOfMs: number): string {
  return `labels AS (
    SELECT request_id, label FROM (${sources.labels}) WHERE known_at <= epoch_ms(${Math.trunc(asOfMs)})
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY known_at DESC, label DESC) = 1)`;
}

async function inDuckDb<T>(reading: Reading, work: (db: DuckDb) => Promise<T>): Promise<T> {
  await mkdir(reading.cacheFolder, { recursive: true });
  return withDuckDb({ threads: 1, memoryMb: 512, folder: reading.cacheFolder, files: [] }, work);
}

function rowsWhere(column: Columns[string] | undefined, holds: (value: number) => boolean): number[] {
  const rows: number[] = [];
  if (column instanceof Float64Array) column.forEach((value, row) => holds(value) && rows.push(row));
  return rows;
}

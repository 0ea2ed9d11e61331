import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type DuckDb, quoteName, quoteText, withDuckDb } from '../infra/data/duckdb';
import type { FoundColumn } from '../infra/spec/guess-columns';
import { SlipwayError } from '../workflows/domain/errors';
import type { InputSignature } from '../workflows/domain/release';
import type { PredictRow } from './predict';

/** One column of a Parquet or CSV file, with DuckDB's name for its type. */
export interface DataColumn {
  readonly name: string;
  readonly type: string;
}

const MEMORY_MB = 512;

/** In file order. Throws NOT_FOUND, DATA_UNREADABLE. */
export function readColumns(path: string): Promise<DataColumn[]> {
  return inFile(path, async (db, source) => {
    const described = await db.rows<{ column_name: string; column_type: string }>(`DESCRIBE SELECT * FROM ${source}`);
    return described.map((row) => ({ name: row.column_name, type: row.column_type }));
  });
}

/** With whether values are missing, for a first spec. Throws as `readColumns`. */
export async function findColumns(path: string): Promise<FoundColumn[]> {
  const columns = await readColumns(path);
  const counts = columns.map(({ name }, index) => `count(*) > count(${quoteName(name)}) AS m${index}`);
  const [missing] = await inFile(path, (db, source) => db.rows(`SELECT ${counts.join(', ')} FROM ${source}`));
  return columns.map((column, index) => ({ ...column, hasMissing: missing?.[`m${index}`] === true }));
}

export function isNumeric({ type }: DataColumn): boolean {
  return /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\))$/.test(type);
}

/** First rows, the model's inputs only. Throws DATA_SCHEMA naming what is missing, and as `readColumns`. */
export async function readRows(
  path: string,
  columns: readonly DataColumn[],
  inputs: readonly InputSignature[],
  limit: number,
): Promise<PredictRow[]> {
  const types = new Map(columns.map(({ name, type }) => [name, type]));
  const missing = inputs.filter(({ name }) => !types.has(name)).map(({ name }) => name);
  if (missing.length > 0)
    throw new SlipwayError(
      'DATA_SCHEMA',
      `${path} lacks the model's inputs ${missing.join(', ')}; it has ${[...types.keys()].join(', ')}`,
    );
  await refuseTexts(path, inputs, types);
  const selected = inputs.map((input) => selectInput(input, types.get(input.name)!));
  return inFile(path, (db, source) => db.rows(`SELECT ${selected.join(', ')} FROM ${source} LIMIT ${limit}`));
}

/** A text where the model takes a number is named by its column: DuckDB's own message quotes only the value. */
async function refuseTexts(
  path: string,
  inputs: readonly InputSignature[],
  types: ReadonlyMap<string, string>,
): Promise<void> {
  const texts = inputs.filter(({ name, datatype }) => datatype !== 'BYTES' && types.get(name) === 'VARCHAR');
  if (texts.length === 0) return;
  const first = texts.map(({ name, datatype }, at) => {
    const column = quoteName(name);
    return `any_value(${column}) FILTER (WHERE TRY_CAST(${column} AS ${SQL_TYPES[datatype]}) IS NULL) AS t${at}`;
  });
  const [found] = await inFile(path, (db, source) =>
    db.rows<Record<string, string | null>>(`SELECT ${first.join(', ')} FROM ${source}`),
  );
  const problems = texts.flatMap(({ name, type }, at) => {
    const value = found?.[`t${at}`];
    return value === null || value === undefined
      ? []
      : [`column ${name} is text (${JSON.stringify(value)}), and the model takes it as ${type}`];
  });
  if (problems.length > 0) throw new SlipwayError('DATA_SCHEMA', `${path}: ${problems.join('; ')}`);
}

const SQL_TYPES = { FP32: 'DOUBLE', INT64: 'BIGINT', BYTES: 'VARCHAR', BOOL: 'BOOLEAN' } as const;

/** Instants are sent as epoch ms. */
function selectInput({ name, datatype }: InputSignature, columnType: string): string {
  const column = quoteName(name);
  return datatype === 'INT64' && /^(TIMESTAMP|DATE)/.test(columnType)
    ? `epoch_ms(CAST(${column} AS TIMESTAMP)) AS ${column}`
    : `CAST(${column} AS ${SQL_TYPES[datatype]}) AS ${column}`;
}

export function noSuchFile(path: string, cause: unknown): SlipwayError {
  const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
  const message = missing ? `there is no file ${path}` : `${path} cannot be read: ${(cause as Error).message}`;
  return new SlipwayError('NOT_FOUND', message, { cause, advice: 'Check the path.' });
}

/** Runs `work` on a Parquet or CSV file of the person who typed its path. */
export async function inFile<T>(path: string, work: (db: DuckDb, source: string) => Promise<T>): Promise<T> {
  const file = resolve(path);
  await stat(file).catch((error: unknown) => {
    throw noSuchFile(path, error);
  });
  const source = file.endsWith('.parquet')
    ? `read_parquet(${quoteText(file)})`
    : `read_csv(${quoteText(file)}, header = true)`;
  const folder = await mkdtemp(join(tmpdir(), 'slipway-file-'));
  try {
    return await withDuckDb({ threads: 1, memoryMb: MEMORY_MB, folder, files: [file] }, (db) => work(db, source));
  } catch (error) {
    if (error instanceof SlipwayError) throw error;
    throw new SlipwayError('DATA_UNREADABLE', `${path}: ${(error as Error).message.split('\n')[0]}`, { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

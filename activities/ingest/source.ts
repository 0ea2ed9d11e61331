import { createReadStream, existsSync } from 'node:fs';
import { basename } from 'node:path';
import { SlipwayError } from '../../workflows/domain/errors';
import type { DataSpec } from '../../workflows/domain/spec';
import { expandGlob, quoteText, type DuckDb } from '../../infra/data/duckdb';
import { parseCsvHeader } from './csv-header';

/** More of a CSV header than this is not a header. */
const HEADER_BYTES = 1 << 20;

export interface OpenSource {
  /** SQL of the relation with the source's columns under their own names. */
  readonly relation: string;
  /** DuckDB types by column name; CSV columns are all VARCHAR. */
  readonly columns: ReadonlyMap<string, string>;
  readonly rows: number;
  readonly format: DataSpec['format'];
  /** CSV only: lines that are no rows, quarantined as they are. */
  readonly malformedLines: number;
}

/** Files of a path or glob. Throws DATA_UNREADABLE where there is none. */
export async function findFiles(source: string): Promise<string[]> {
  // A name may hold glob characters; a file of exactly that name is what was meant.
  const files = existsSync(source) ? [source] : await expandGlob(source);
  if (files.length === 0) throw new SlipwayError('DATA_UNREADABLE', `no file matches ${source}`);
  return files;
}

/** Opens all files as one relation. Throws DATA_UNREADABLE naming the file that is truncated, empty or of another format. */
export async function openSource(
  db: DuckDb,
  format: DataSpec['format'],
  files: readonly string[],
): Promise<OpenSource> {
  return format === 'parquet' ? openParquet(db, files) : openCsv(db, files);
}

async function openParquet(db: DuckDb, files: readonly string[]): Promise<OpenSource> {
  let rows = 0;
  for (const file of files) {
    const found = await reading(file, () =>
      db.rows<{ rows: number }>(`SELECT num_rows AS rows FROM parquet_file_metadata(${quoteText(file)})`),
    );
    rows += Number(found[0]?.rows ?? 0);
  }
  const relation = `read_parquet([${files.map(quoteText).join(', ')}], union_by_name = true, hive_partitioning = false)`;
  const columns = await reading(files[0]!, () => describeColumns(db, relation));
  return { relation, columns, rows, format: 'parquet', malformedLines: 0 };
}

async function openCsv(db: DuckDb, files: readonly string[]): Promise<OpenSource> {
  const parts: string[] = [];
  for (const file of files) {
    const header = parseCsvHeader(file, await readStart(file));
    const columns = header.map((name) => `${quoteText(name)}: 'VARCHAR'`).join(', ');
    parts.push(
      `SELECT * FROM read_csv(${quoteText(file)}, auto_detect = false, header = true, columns = {${columns}}, delim = ',', quote = '"', ` +
        `escape = '"', strict_mode = true, store_rejects = true, rejects_limit = 0)`,
    );
  }
  await reading(files.length === 1 ? files[0]! : `${files.length} CSV files`, () =>
    db.run(`CREATE TABLE source AS ${parts.join(' UNION ALL BY NAME ')}`),
  );
  await db.run(
    'CREATE TABLE malformed AS SELECT any_value(csv_line) AS line, any_value(error_type::VARCHAR) AS problem FROM reject_errors GROUP BY scan_id, file_id, line_byte_position',
  );
  const [counts] = await db.rows<{ rows: number; malformed: number }>(
    'SELECT (SELECT count(*) FROM source) AS rows, (SELECT count(*) FROM malformed) AS malformed',
  );
  const columns = await describeColumns(db, 'source');
  return {
    relation: 'source',
    columns,
    rows: Number(counts!.rows),
    format: 'csv',
    malformedLines: Number(counts!.malformed),
  };
}

async function describeColumns(db: DuckDb, relation: string): Promise<ReadonlyMap<string, string>> {
  const described = await db.rows<{ column_name: string; column_type: string }>(`DESCRIBE SELECT * FROM ${relation}`);
  return new Map(described.map((row) => [row.column_name, row.column_type]));
}

async function readStart(file: string): Promise<Buffer> {
  return reading(file, async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of createReadStream(file, { end: HEADER_BYTES })) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  });
}

async function reading<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** DuckDB's first line says what is wrong; the rest is advice about its own options, and may quote data. */
export function unreadable(file: string, error: unknown): SlipwayError {
  if (error instanceof SlipwayError) return error;
  const message = messageOf(error).split('\n')[0]!.slice(0, 300);
  if (message.startsWith('Out of Memory Error'))
    return new SlipwayError('DATA_LIMIT', `${basename(file)}: ${message}`, { cause: error });
  return new SlipwayError('DATA_UNREADABLE', `${file} cannot be read: ${message}`, { cause: error });
}

/** Errors of a native module need not be instances of this realm's Error. */
export function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
}

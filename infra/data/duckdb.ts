import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type * as DuckDbApi from '@duckdb/node-api';
import type { DuckDBConnection } from '@duckdb/node-api';

export interface DuckDbOptions {
  readonly threads: number;
  /** DuckDB's own limit; it spills to `folder` beyond that. */
  readonly memoryMb: number;
  /** The one folder it may write to (and spill below). */
  readonly folder: string;
  /** Files it may read besides that folder. Globs are expanded before, by `expandGlob`. */
  readonly files: readonly string[];
}

/** A value as JSON shows it, except that BIGINT comes as a number where it is exact and as text beyond 2^53. */
export type Cell = string | number | boolean | null;
export type Row = Readonly<Record<string, Cell>>;

/** One database in memory with its one connection. */
export interface DuckDb {
  run(sql: string): Promise<void>;
  rows<T extends Row = Row>(sql: string): Promise<T[]>;
  /** Numbers (DOUBLE only, null as NaN) as Float64Array, anything else as text or null. */
  columns(sql: string): Promise<Record<string, Float64Array | (string | null)[]>>;
}

/**
 * Opens a database that can reach nothing but what the options name, and closes it after `work`. It treats files as trusted, so
 * users' files are opened by it in a limited child process only. Sessions run in UTC.
 */
export async function withDuckDb<T>(options: DuckDbOptions, work: (db: DuckDb) => Promise<T>): Promise<T> {
  const spill = join(options.folder, 'spill');
  await mkdir(spill, { recursive: true });
  const instance = await loadDuckDb().DuckDBInstance.create(':memory:', {
    threads: String(options.threads),
    memory_limit: `${options.memoryMb}MB`,
    temp_directory: spill,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    preserve_insertion_order: 'true',
  });
  try {
    const connection = await instance.connect();
    try {
      const db = wrap(connection);
      await lockDown(db, options);
      return await work(db);
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
}

async function lockDown(db: DuckDb, options: DuckDbOptions): Promise<void> {
  await db.run("SET TimeZone = 'UTC'");
  await db.run(`SET allowed_directories = [${quoteText(join(options.folder, '/'))}]`);
  if (options.files.length > 0) await db.run(`SET allowed_paths = [${options.files.map(quoteText).join(', ')}]`);
  await db.run('SET enable_external_access = false');
  await db.run('SET lock_configuration = true');
}

/** Existing files that match a path or glob, ascending; the pattern itself is not touched beyond listing folders. */
export async function expandGlob(pattern: string): Promise<string[]> {
  const instance = await loadDuckDb().DuckDBInstance.create(':memory:', { threads: '1' });
  try {
    const db = wrap(await instance.connect());
    const found = await db.rows<{ file: string }>(`SELECT file FROM glob(${quoteText(pattern)}) ORDER BY file`);
    return found.map((row) => row.file);
  } finally {
    instance.closeSync();
  }
}

/** `it's` as `'it''s'`. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** `a "b"` as `"a ""b"""`. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Its native module takes longer to load than most commands take to run. */
function loadDuckDb(): typeof DuckDbApi {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- loaded when used
  return require('@duckdb/node-api') as typeof DuckDbApi;
}

function wrap(connection: DuckDBConnection): DuckDb {
  const { DuckDBTypeId } = loadDuckDb();
  return {
    run: async (sql) => {
      await withoutData(connection.run(sql));
    },
    rows: async <T extends Row>(sql: string) => {
      const reader = await withoutData(connection.runAndReadAll(sql));
      const bigints = reader
        .columnTypes()
        .map((type) => type.typeId === DuckDBTypeId.BIGINT || type.typeId === DuckDBTypeId.HUGEINT);
      const names = reader.columnNames();
      return reader
        .getRowsJson()
        .map(
          (row) => Object.fromEntries(row.map((cell, column) => [names[column]!, toCell(cell, bigints[column]!)])) as T,
        );
    },
    columns: (sql) => withoutData(readColumns(connection, sql)),
  };
}

/** Errors that speak of files, columns and SQL only. Any other may quote the value which it is about, within quotes or without. */
const WITHOUT_DATA =
  /^(IO|Binder|Catalog|Parser|Syntax|Permission|Out of Memory|Interrupt|Not implemented) Error|^Invalid Input Error: (No magic bytes|File .* too small|Cannot change configuration)/;

/** Where the value may begin: a quote, a bracket, a number, or what follows the word "value". */
const VALUE = /["'`([{]|(?<!\w)[-+]?\d|\bvalue\b/;

/** What DuckDB stumbled over is somebody's data, which must not get into a history or a log line (invariant I10). */
async function withoutData<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const message = (error as { message?: unknown } | null)?.message;
    if (typeof message !== 'string' || WITHOUT_DATA.test(message)) throw error;
    const [first] = message.split('\n');
    const at = first!.search(VALUE);
    // Its own error, stack and all, holds the value too, so it is no cause.
    throw new Error(at < 0 ? first : `${first!.slice(0, at)}…`);
  }
}

function toCell(cell: unknown, bigint: boolean): Cell {
  if (bigint && typeof cell === 'string' && Number.isSafeInteger(Number(cell))) return Number(cell);
  return typeof cell === 'object' && cell !== null ? JSON.stringify(cell) : (cell as Cell);
}

async function readColumns(
  connection: DuckDBConnection,
  sql: string,
): Promise<Record<string, Float64Array | (string | null)[]>> {
  const result = await connection.run(sql);
  const chunks = await result.fetchAllChunks();
  const rows = chunks.reduce((sum, chunk) => sum + chunk.rowCount, 0);
  const columns: Record<string, Float64Array | (string | null)[]> = {};
  result.columnNames().forEach((name, column) => {
    const numeric = result.columnTypeId(column) === loadDuckDb().DuckDBTypeId.DOUBLE;
    const values = numeric ? new Float64Array(rows) : new Array<string | null>(rows);
    let at = 0;
    for (const chunk of chunks) {
      const vector = chunk.getColumnVector(column);
      for (let row = 0; row < chunk.rowCount; row += 1, at += 1) {
        const value = vector.getItem(row);
        if (numeric) values[at] = value === null ? Number.NaN : (value as number);
        else values[at] = value === null ? null : String(value);
      }
    }
    columns[name] = values;
  });
  return columns;
}

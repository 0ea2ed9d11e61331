import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expandGlob, quoteName, quoteText, withDuckDb, type DuckDb } from '../../../infra/data/duckdb';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-duckdb-'));
  await writeFile(join(folder, 'given.csv'), 'a\n1\n');
  await writeFile(join(folder, 'secret.csv'), 'a\n2\n');
  await mkdir(join(folder, 'work'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = <T>(work: (db: DuckDb) => Promise<T>): Promise<T> =>
  withDuckDb({ threads: 1, memoryMb: 256, folder: join(folder, 'work'), files: [join(folder, 'given.csv')] }, work);

it('reads the files it is given and its own folder, and nothing else', async () => {
  await open(async (db) => {
    const read = (path: string) => db.rows(`SELECT * FROM read_csv(${quoteText(join(folder, path))})`);
    expect(await read('given.csv')).toEqual([{ a: 1 }]);
    await expect(read('secret.csv')).rejects.toThrow(/Permission Error/);
    await expect(read('work/../secret.csv')).rejects.toThrow(/Permission Error/);
    await expect(db.run(`COPY (SELECT 1) TO ${quoteText(join(folder, 'out.csv'))}`)).rejects.toThrow(
      /Permission Error/,
    );
    await expect(db.run(`ATTACH ${quoteText(join(folder, 'other.db'))} AS other`)).rejects.toThrow(
      /Permission Error|Binder Error/,
    );
    await db.run(`COPY (SELECT 3 AS a) TO ${quoteText(join(folder, 'work/out.csv'))} (HEADER)`);
    expect(await read('work/out.csv')).toEqual([{ a: 3 }]);
  });
});

it('does not let a query widen its limits or load an extension', async () => {
  await open(async (db) => {
    await expect(db.run("SET memory_limit = '100GB'")).rejects.toThrow(/locked/);
    await expect(db.run('SET enable_external_access = true')).rejects.toThrow(/locked|Cannot/);
    await expect(db.run('INSTALL httpfs')).rejects.toThrow();
    await expect(db.run('LOAD httpfs')).rejects.toThrow();
  });
});

it('fails a query that needs more memory than its limit, and names the reason', async () => {
  await open((db) =>
    expect(db.run('SELECT list(i) FROM range(200000000) t(i)')).rejects.toThrow(/Out of Memory Error/),
  );
});

it('quotes names and texts so that they stay what they are', async () => {
  const name = 'a "quoted" \'name\'; --';
  await open(async (db) => {
    const [row] = await db.rows(`SELECT ${quoteText(name)} AS ${quoteName(name)}`);
    expect(row).toEqual({ [name]: name });
  });
});

it('reads numbers as Float64Array with NaN for null, and texts with null', async () => {
  const columns = await open((db) => db.columns("SELECT * FROM (VALUES (1.5::DOUBLE, 'x'), (NULL, NULL)) t(n, s)"));
  expect(columns['n']).toEqual(Float64Array.of(1.5, Number.NaN));
  expect(columns['s']).toEqual(['x', null]);
});

it('gives whole numbers as numbers, and those past 2^53 as text', async () => {
  expect(
    await open((db) => db.rows('SELECT 9007199254740991 AS safe, 9007199254740993 AS beyond, count(*) AS n')),
  ).toEqual([{ safe: 9_007_199_254_740_991, beyond: '9007199254740993', n: 1 }]);
});

it('expands a glob in ascending order', async () => {
  expect(await expandGlob(join(folder, '*.csv'))).toEqual([join(folder, 'given.csv'), join(folder, 'secret.csv')]);
  expect(await expandGlob(join(folder, '*.parquet'))).toEqual([]);
});

import { withDuckDb } from '../../../infra/data/duckdb';
import { temporaryFolder } from '../../support/temporary-folder';

const folder = temporaryFolder('duckdb-errors');
afterAll(() => folder.remove());

describe("an error of DuckDB's", () => {
  it('does not carry the value it stumbled over, which would end in a history or a log line (I10)', async () => {
    const failing = withDuckDb({ threads: 1, memoryMb: 64, folder: folder.path, files: [] }, (db) =>
      db.rows(`SELECT v::DOUBLE AS d FROM (VALUES ('ada@example.com'), ('1')) t(v)`),
    );
    const error = (await failing.catch((reason: unknown) => reason)) as Error;
    expect(error.message).toMatch(/^Conversion Error: Could not convert string/);
    expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toContain('ada@example.com');
  });

  it.each([
    [`SELECT 'O''Brien 4711'::INTEGER`, /4711|Brien/],
    ['SELECT (300 + x)::TINYINT FROM range(1) t(x)', /300/],
    ['SELECT 9223372036854775807::BIGINT + x FROM range(1, 2) t(x)', /9223372036854775807/],
    ['SELECT (x || $$-13-45$$)::DATE FROM (VALUES (2001)) t(x)', /2001|13-45/],
    ['SELECT (1234.5 + x)::DECIMAL(3, 1) FROM range(1) t(x)', /1234/],
    ['CREATE TABLE u (v VARCHAR UNIQUE); INSERT INTO u VALUES ($$ada$$), ($$ada$$)', /ada/],
  ])('nor within quotes that are not closed, nor without quotes: %s', async (sql, value) => {
    const failing = withDuckDb({ threads: 1, memoryMb: 64, folder: folder.path, files: [] }, (db) => db.rows(sql));
    const error = (await failing.catch((reason: unknown) => reason)) as Error;
    expect(error.message).toMatch(/Error: /);
    expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toMatch(value);
  });

  it('still names columns and files', async () => {
    const failing = withDuckDb({ threads: 1, memoryMb: 64, folder: folder.path, files: [] }, (db) =>
      db.run('SELECT nowhere FROM (SELECT 1 AS here)'),
    );
    await expect(failing).rejects.toThrow('nowhere');
  });
});

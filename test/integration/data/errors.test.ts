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

  it('still names columns and files', async () => {
    const failing = withDuckDb({ threads: 1, memoryMb: 64, folder: folder.path, files: [] }, (db) =>
      db.run('SELECT nowhere FROM (SELECT 1 AS here)'),
    );
    await expect(failing).rejects.toThrow('nowhere');
  });
});

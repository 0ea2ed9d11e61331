import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIngestActivities } from '../../../activities/ingest/create-ingest-activities';
import { SlipwayError } from '../../../workflows/domain/errors';
import { openBench, ORDERS, specText, writeRows, type Bench } from './orders';

const ROWS = ORDERS.replace('FROM range', ', i FROM range');
/** Good rows with some columns replaced; `i` is the row's number. */
const changed = (replace: string): string => `SELECT * EXCLUDE (i) REPLACE (${replace}) FROM (${ROWS})`;

let folder: string;
let bench: Bench;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-ingest-'));
  bench = await openBench(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Refusal {
  readonly code: string;
  readonly message: string;
}

const withoutFolder = (message: string): string => message.replaceAll(`${folder}/`, '');

/** Of the reader itself, in this process. */
async function refusal(name: string): Promise<Refusal> {
  const report = await bench.read(specText(name));
  if (report.ok) throw new Error('the source was accepted');
  return { code: report.code, message: withoutFolder(report.message) };
}

/** Of the activity, whose reader is a child. */
async function activityRefusal(name: string): Promise<Refusal> {
  try {
    await bench.ingest(specText(name));
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayError);
    return { code: (error as SlipwayError).code, message: withoutFolder((error as Error).message) };
  }
  throw new Error('the source was accepted');
}

describe('files that cannot be read', () => {
  it('refuses a truncated Parquet file by name', async () => {
    const path = await writeRows(bench, ORDERS, 'orders.parquet');
    await truncate(path, 5_000);
    const { code, message } = await activityRefusal('orders.parquet');
    expect(code).toBe('DATA_UNREADABLE');
    expect(message).toContain('orders.parquet cannot be read');
  });

  it('refuses a Parquet file whose pages were damaged, or whose footer claims what is not there', async () => {
    const path = await writeRows(bench, ORDERS, 'orders.parquet');
    const bytes = await readFile(path);
    await writeFile(path, Buffer.concat([bytes.subarray(0, 4), Buffer.alloc(9_000, 0xa5), bytes.subarray(9_004)]));
    expect((await refusal('orders.parquet')).code).toBe('DATA_UNREADABLE');
    await writeFile(path, Buffer.concat([bytes.subarray(0, 2_000), bytes.subarray(9_000)]));
    expect((await refusal('orders.parquet')).code).toBe('DATA_UNREADABLE');
  });

  it.each([
    ['nothing.parquet', Buffer.alloc(0), 'cannot be read'],
    ['text.parquet', Buffer.from('order,placed\n1,2\n'), 'cannot be read'],
    ['nothing.csv', Buffer.alloc(0), 'the file is empty'],
    ['binary.csv', Buffer.from([80, 65, 82, 49, 0, 1, 2]), 'zero bytes'],
    ['twice.csv', Buffer.from('order,placed,Order\n'), 'gives columns 1 and 3 the same name'],
    ['quote.csv', Buffer.from('order,"placed\n1,2\n'), 'a quote that is not closed'],
  ])('refuses %s', async (name, bytes, part) => {
    await writeFile(join(folder, name), bytes);
    const { code, message } = await refusal(name);
    expect(code).toBe('DATA_UNREADABLE');
    expect(message).toContain(part);
  });

  it('refuses a source that matches no file', async () => {
    expect(await refusal('orders-*.parquet')).toEqual({
      code: 'DATA_UNREADABLE',
      message: 'no file matches orders-*.parquet',
    });
  });

  it('names the one bad file among good ones', async () => {
    const good = await writeRows(bench, ORDERS, 'part-1.parquet');
    await copyFile(good, join(folder, 'part-2.parquet'));
    await truncate(join(folder, 'part-2.parquet'), 100);
    expect((await refusal('part-*.parquet')).message).toContain('part-2.parquet cannot be read');
  });
});

describe('columns that do not agree with the spec', () => {
  it('names every missing and every wrongly typed column, with the nearest name', async () => {
    await writeRows(
      bench,
      `SELECT * EXCLUDE (gift) REPLACE (price::VARCHAR AS price) RENAME (country AS contry) FROM (${ORDERS})`,
      'orders.parquet',
    );
    const { code, message } = await refusal('orders.parquet');
    expect(code).toBe('DATA_SCHEMA');
    expect(message).toContain('column price is VARCHAR, which cannot be read as number');
    expect(message).toContain('there is no column country; did you mean contry?');
    expect(message).toContain(
      'there is no column gift (there are order, placed, price, items, contry, local, returned, known)',
    );
  });

  it('shows no name of a CSV file without a header, where the names are the values of its first row (I10)', async () => {
    await writeFile(join(folder, 'orders.csv'), 'o1,ada@example.org,12.5\no2,ben@example.org,13\n');
    const { code, message } = await refusal('orders.csv');
    expect(code).toBe('DATA_SCHEMA');
    expect(message).toMatch(
      /^orders\.csv: its first line names none of the declared columns, so it may be no header; /,
    );
    expect(message).not.toMatch(/ada@|12\.5/);
  });

  it('calls a missing label a label problem', async () => {
    await writeRows(bench, `SELECT * RENAME (returned AS "return") FROM (${ORDERS})`, 'orders.csv');
    expect(await activityRefusal('orders.csv')).toEqual({
      code: 'DATA_LABEL',
      message: 'orders.csv: there is no column returned; did you mean return?',
    });
  });

  it('refuses a label that is the same in all training rows', async () => {
    await writeRows(bench, changed('0 AS returned'), 'orders.parquet');
    const { code, message } = await activityRefusal('orders.parquet');
    expect(code).toBe('DATA_LABEL');
    expect(message).toBe('the label returned is the same in all 1801 training rows; there is nothing to learn');
  });

  it('names each empty split with its time, and how many rows lay in it', async () => {
    await writeRows(bench, `${ORDERS} WHERE i < 1840`, 'orders.parquet');
    const { code, message } = await activityRefusal('orders.parquet');
    expect(code).toBe('DATA_EMPTY_SPLIT');
    expect(message).toBe(
      'no rows for validation (2024-02-16T00:00:00.000Z to 2024-02-23T00:00:00.000Z; 0 rows, none with a label known in time), ' +
        'holdout (2024-02-23T00:00:00.000Z to 2024-03-01T00:00:00.000Z; 0 rows, none with a label known in time)',
    );
  });

  it('says that a split is empty because its labels were not known', async () => {
    await writeRows(
      bench,
      changed("CASE WHEN placed >= '2024-02-23' THEN placed + INTERVAL 30 DAYS ELSE known END AS known"),
      'orders.parquet',
    );
    expect((await refusal('orders.parquet')).message).toContain('280 rows, none with a label known in time');
  });

  it('refuses a source without a single row', async () => {
    await writeRows(bench, `${ORDERS} WHERE i < 0`, 'orders.parquet');
    expect((await refusal('orders.parquet')).code).toBe('DATA_EMPTY_SPLIT');
  });
});

describe('bad rows', () => {
  const cases: readonly [string, string, string][] = [
    ['csv', 'order: missing', 'CASE WHEN i = 9 THEN NULL ELSE "order" END AS "order"'],
    ['csv', 'order: duplicate', `CASE WHEN i = 9 THEN 'o00003' ELSE "order" END AS "order"`],
    ['csv', 'placed: not an instant', `CASE WHEN i = 9 THEN 'yesterday' ELSE placed::VARCHAR END AS placed`],
    ['csv', 'placed: missing', 'CASE WHEN i = 9 THEN NULL ELSE placed END AS placed'],
    ['csv', 'price: not a number', `CASE WHEN i = 9 THEN 'cheap' ELSE price::VARCHAR END AS price`],
    ['csv', 'price: not finite', `CASE WHEN i = 9 THEN 'inf' ELSE price::VARCHAR END AS price`],
    ['parquet', 'price: not finite', `CASE WHEN i = 9 THEN '1e300'::DOUBLE ELSE price END AS price`],
    ['parquet', 'price: missing', `CASE WHEN i = 9 THEN 'NaN'::DOUBLE ELSE price END AS price`],
    ['parquet', 'price: outside [0, 1000]', 'CASE WHEN i = 9 THEN -0.01 ELSE price END AS price'],
    ['csv', 'items: not a whole number', `CASE WHEN i = 9 THEN '2.5' ELSE items::VARCHAR END AS items`],
    ['parquet', 'items: not a whole number', 'CASE WHEN i = 9 THEN 2.5 ELSE items::DOUBLE END AS items'],
    ['parquet', 'items: outside [0, 10]', 'CASE WHEN i = 9 THEN 11 ELSE items END AS items'],
    ['parquet', 'country: not one of the declared values', `CASE WHEN i = 9 THEN 'IT' ELSE country END AS country`],
    ['parquet', 'country: missing', `CASE WHEN i = 9 THEN '' ELSE country END AS country`],
    ['csv', 'gift: not true or false', `CASE WHEN i = 9 THEN 'perhaps' ELSE gift::VARCHAR END AS gift`],
    ['csv', 'local: not an instant', `CASE WHEN i = 9 THEN '12:30' ELSE local::VARCHAR END AS local`],
    ['parquet', 'returned: not 0 or 1', 'CASE WHEN i = 9 THEN 2 ELSE returned END AS returned'],
    ['csv', 'returned: not 0 or 1', `CASE WHEN i = 9 THEN 'maybe' ELSE returned::VARCHAR END AS returned`],
    ['parquet', 'known: missing, though the label is there', 'CASE WHEN i = 9 THEN NULL ELSE known END AS known'],
  ];
  it.each(cases)('in a %s file are in quarantine as %j', async (format, reason, replace) => {
    await writeRows(bench, changed(replace), `orders.${format}`);
    const report = await bench.read(specText(`orders.${format}`));
    expect(report).toMatchObject({
      ok: true,
      quarantine: { rows: 1 },
      snapshot: { splits: { train: { rows: 1_800 } } },
    });
    expect(report.quarantine.reasons).toEqual({ [reason]: 1 });
  });

  it('that are no lines of a CSV file are in quarantine as they came', async () => {
    const path = await writeRows(bench, ORDERS, 'orders.csv');
    const lines = (await readFile(path, 'utf8')).split('\n');
    lines.splice(5, 0, 'o9,2024-01-01', 'a,b,c,d,e,f,g,h,i,j,k,l');
    await writeFile(path, lines.join('\n'));
    const { result, manifest } = await bench.ingest(specText('orders.csv'));
    expect(result.rows).toMatchObject({ train: 1_801, quarantined: 2 });
    expect(manifest.quarantine.reasons).toEqual({ 'line: missing columns': 1, 'line: too many columns': 1 });
  });

  it('may be null where the spec allows it', async () => {
    await writeRows(bench, changed('CASE WHEN i % 2 = 0 THEN NULL ELSE price END AS price'), 'orders.parquet');
    const { result, profile } = await bench.ingest(
      specText('orders.parquet', { 'range: [0, 1000]': 'range: [0, 1000], nullable: true' }),
    );
    expect(result.rows.quarantined).toBe(0);
    expect(profile.features['price']).toMatchObject({ missing: 901 });
  });

  it('of one id: the same one stays, whatever their order in the source', async () => {
    const twice = `SELECT * FROM (${ORDERS}) UNION ALL (${changed('price + 1 AS price')} LIMIT 10)`;
    await writeRows(bench, twice, 'a.parquet');
    await writeRows(bench, `SELECT * FROM (${twice}) ORDER BY price DESC`, 'b.parquet');
    const a = await bench.ingest(specText('a.parquet'), { run: 'r-0000000001-1' });
    const b = await bench.ingest(specText('b.parquet'), { run: 'r-0000000002-1' });
    expect(a.manifest.quarantine.reasons).toEqual({ 'order: duplicate': 10 });
    expect(b.manifest.digest).toBe(a.manifest.digest);
    expect(b.manifest.quarantine.blob).toBe(a.manifest.quarantine.blob);
  });

  it('above the budget fail the run, with counts by reason and the file they are in', async () => {
    await writeRows(
      bench,
      changed(
        "CASE WHEN i < 20 THEN 9999 ELSE price END AS price, CASE WHEN i BETWEEN 20 AND 24 THEN 'IT' ELSE country END AS country",
      ),
      'orders.parquet',
    );
    const { code, message } = await activityRefusal('orders.parquet');
    expect(code).toBe('DATA_QUARANTINE');
    expect(message).toMatch(
      /^25 of 2400 rows are bad \(1\.04 %; the budget is 1 %\): price: outside \[0, 1000\] \(20\), country: not one of the declared values \(5\)\. The bad rows with their reasons are blob sha256:/,
    );
    const digest = /sha256:[0-9a-f]{64}/.exec(message)![0];
    expect((await bench.blobs.get(digest as `sha256:${string}`)).length).toBeGreaterThan(100);
  });

  it('at the budget do not', async () => {
    await writeRows(bench, changed('CASE WHEN i < 24 THEN 9999 ELSE price END AS price'), 'orders.parquet');
    expect((await bench.ingest(specText('orders.parquet'))).result.rows.quarantined).toBe(24);
  });
});

describe('limits', () => {
  it('ends a reader that goes past its time, and says so', async () => {
    await writeRows(bench, ORDERS, 'orders.parquet');
    const activities = createIngestActivities({
      store: bench.store,
      blobs: bench.blobs,
      workFolder: join(folder, 'work'),
      limits: { memoryMb: 1_024, timeoutMs: 50, threads: 1 },
    });
    const request = await bench.request(specText('orders.parquet'));
    await expect(activities.ingest({ request })).rejects.toMatchObject({ code: 'DATA_LIMIT' });
  });
});

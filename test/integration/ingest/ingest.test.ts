import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ingestCacheKey } from '../../../activities/ingest/create-ingest-activities';
import { quoteText, withDuckDb } from '../../../infra/data/duckdb';
import { readSnapshot } from '../../../infra/data/snapshot';
import { parseSpec } from '../../../infra/spec/parse';
import type { RunRequest } from '../../../workflows/domain/run';
import { openBench, ORDERS, specText, writeRows, type Bench } from './orders';

let folder: string;
let bench: Bench;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-ingest-'));
  bench = await openBench(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a good source', () => {
  it('becomes three splits by time, each of rows whose label was known when the next one began', async () => {
    await writeRows(bench, ORDERS, 'orders.parquet');
    const { result, manifest } = await bench.ingest(specText('orders.parquet'));
    // 40 orders a day; those of the last day before a boundary were known after it.
    expect(result.rows).toEqual({ train: 1_801, validation: 241, holdout: 241, quarantined: 0 });
    expect(manifest.splits.train).toMatchObject({
      rows: 1_801,
      from: '2024-01-01T00:00:00.000Z',
      to: '2024-02-15T00:00:00.000Z',
    });
    expect(manifest.splits.validation).toMatchObject({
      from: '2024-02-16T00:00:00.000Z',
      to: '2024-02-22T00:00:00.000Z',
    });
    expect(manifest.splits.holdout).toMatchObject({ from: '2024-02-23T00:00:00.000Z', to: '2024-02-29T00:00:00.000Z' });
    expect(manifest.leftOut).toEqual({ outsideWindow: 0, immature: 117, unlabelled: 0 });
    expect(result.snapshot).toBe(manifest.digest);
    expect(await readdir(join(folder, 'work'))).toEqual([]);
  });

  it('that holds what an imported model never saw is not split: all of it is the holdout, and the profile', async () => {
    const spec = specText('orders.parquet');
    const path = await writeRows(bench, `${ORDERS} LIMIT 200`, 'never-seen.parquet');
    const blob = await bench.blobs.put(Buffer.from('model'));
    const imported = { onnx: blob, signature: blob, holdout: { source: path, format: 'parquet' as const } };
    const { result, manifest, profile } = await bench.ingest(spec, { imported });
    expect(result.rows).toEqual({ train: 0, validation: 0, holdout: 200, quarantined: 0 });
    expect(manifest.splits.train).toMatchObject({ rows: 0, from: null, to: null });
    expect([profile.rows, profile.label.mean > 0]).toEqual([200, true]);
    expect(ingestCacheKey(await bench.request(spec, { imported }))).not.toBe(ingestCacheKey(await bench.request(spec)));
  });

  it('keeps the declared columns in their canonical types, by event time, then id', async () => {
    await writeRows(bench, `${ORDERS} ORDER BY hash(i)`, 'orders.parquet');
    const text = specText('orders.parquet');
    const { manifest } = await bench.ingest(text);
    const path = await bench.blobs.file(manifest.splits.train.blob);
    const table = await withDuckDb({ threads: 1, memoryMb: 256, folder, files: [path] }, (db) =>
      readSnapshot(db, path, parseSpec(text, { file: join(folder, 'model.yaml') })),
    );
    expect(table.rows).toBe(1_801);
    expect(table.ids.slice(0, 3)).toEqual(['o00000', 'o00001', 'o00002']);
    expect([...table.eventTimes.slice(0, 2)]).toEqual([
      Date.parse('2024-01-01T00:00:00Z'),
      Date.parse('2024-01-01T00:36:00Z'),
    ]);
    expect([...table.labels.slice(0, 3)]).toEqual([1, 1, 0]);
    expect(table.features['price']![1]).toBe(Math.fround(15.29));
    expect(table.features['country']!.slice(0, 3)).toEqual(['DE', 'FR', 'ES']);
    expect([...(table.features['gift'] as Float64Array).slice(0, 2)]).toEqual([1, 0]);
    expect(table.features['local']![0]).toBe(Date.parse('2024-01-01T02:00:00Z'));
  });

  it('has a profile of the training rows only', async () => {
    await writeRows(bench, ORDERS, 'orders.parquet');
    const { profile } = await bench.ingest(specText('orders.parquet'));
    expect(profile.rows).toBe(1_801);
    expect(profile.features['country']).toMatchObject({
      kind: 'category',
      values: ['DE', 'ES', 'FR'],
      counts: [601, 600, 600],
      other: 0,
      missing: 0,
    });
    expect(profile.features['gift']).toMatchObject({
      kind: 'category',
      values: ['false', 'true'],
      counts: [1_350, 451],
    });
    expect(profile.features['items']).toMatchObject({ kind: 'numeric', min: 0, max: 4, missing: 0 });
    expect(profile.features['local']).toMatchObject({
      kind: 'timestamp',
      missing: 0,
      min: Date.parse('2024-01-01T02:00:00Z'),
    });
    expect(profile.label.mean).toBeCloseTo(516 / 1_801, 10);
  });

  it('is bounded by from, and by the length of the window before the as-of', async () => {
    await writeRows(bench, ORDERS, 'orders.parquet');
    const from = await bench.ingest(specText('orders.parquet', { 'id: order': 'id: order, from: 2024-02-01' }));
    const last = await bench.ingest(specText('orders.parquet', { 'id: order': 'id: order, last: 29d' }), {
      run: 'r-0000000002-1',
    });
    expect(from.result.rows.train).toBe(561);
    expect(from.manifest.leftOut['outsideWindow']).toBe(1_240);
    expect(last.manifest.splits).toEqual(from.manifest.splits);
  });

  it('has nothing of rows at or after the as-of, whatever they hold', async () => {
    const late = `SELECT * REPLACE (TIMESTAMP '2024-03-01' + to_minutes(i) AS placed, -5.0 AS price) FROM (${ORDERS.replace('FROM range', ', i FROM range')})`;
    await writeRows(bench, ORDERS, 'orders.parquet');
    const before = await bench.ingest(specText('orders.parquet'));
    await writeRows(
      bench,
      `SELECT * EXCLUDE (i) REPLACE ('x' || "order" AS "order") FROM (${late}) UNION ALL ${ORDERS}`,
      'more.parquet',
    );
    const after = await bench.ingest(specText('more.parquet'), { run: 'r-0000000002-1' });
    expect(after.manifest.digest).toBe(before.manifest.digest);
    expect(after.manifest.leftOut['outsideWindow']).toBe(2_400);
    expect(after.result.rows.quarantined).toBe(0);
  });

  it('may have the event time as a feature as well', async () => {
    await writeRows(bench, ORDERS, 'orders.parquet');
    const { profile } = await bench.ingest(specText('orders.parquet', { 'name: local': 'name: placed' }));
    expect(profile.features['placed']).toMatchObject({ kind: 'timestamp', min: Date.parse('2024-01-01T00:00:00Z') });
  });

  it('counts labels that never came, and waits by maturity where no column says when they were known', async () => {
    await writeRows(
      bench,
      `SELECT * REPLACE (CASE WHEN i % 10 > 0 THEN returned END AS returned) FROM (${ORDERS.replace('FROM range', ', i FROM range')})`,
      'orders.parquet',
    );
    const { manifest } = await bench.ingest(specText('orders.parquet', { 'knownAt: known, ': '' }));
    expect(manifest.splits.train.to! <= '2024-02-14T00:00:00.000Z').toBe(true);
    expect(manifest.leftOut).toEqual({ outsideWindow: 0, immature: 223, unlabelled: 233 });
  });
});

describe('the digest of a snapshot', () => {
  const digestOf = async (name: string, changes = {}, run = name): Promise<string> =>
    (await bench.ingest(specText(name, changes), { run })).manifest.digest;

  it('is the same for the same rows as Parquet or CSV, re-ordered, re-chunked, narrower or split over files', async () => {
    await writeRows(bench, ORDERS, 'a.parquet');
    await writeRows(bench, `${ORDERS} ORDER BY hash(i + 1)`, 'b.parquet', ', ROW_GROUP_SIZE 2048, COMPRESSION gzip');
    await writeRows(bench, ORDERS, 'c.csv');
    await writeRows(
      bench,
      `SELECT * REPLACE (price::FLOAT AS price, items::UTINYINT AS items, returned = 1 AS returned, placed::TIMESTAMPTZ AS placed, epoch_ms(known) AS known) FROM (${ORDERS})`,
      'd.parquet',
    );
    await writeRows(bench, `${ORDERS} WHERE i < 1000`, 'parts-1.csv');
    await writeRows(
      bench,
      `SELECT country, * EXCLUDE (country) REPLACE (strftime(placed + INTERVAL 2 HOUR, '%Y-%m-%dT%H:%M:%S+02:00') AS placed) FROM (${ORDERS} WHERE i >= 1000)`,
      'parts-2.csv',
    );
    const digest = await digestOf('a.parquet');
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await digestOf('b.parquet')).toBe(digest);
    expect(await digestOf('c.csv')).toBe(digest);
    expect(await digestOf('d.parquet')).toBe(digest);
    expect(await digestOf('parts-*.csv', {}, 'parts')).toBe(digest);
  });

  it('changes with one value, one row, one split boundary, one unit', async () => {
    const rows = ORDERS.replace('FROM range', ', i FROM range');
    await writeRows(bench, ORDERS, 'a.parquet');
    await writeRows(
      bench,
      `SELECT * EXCLUDE (i) REPLACE (CASE WHEN i = 77 THEN price + 0.01 ELSE price END AS price) FROM (${rows})`,
      'value.parquet',
    );
    await writeRows(bench, `SELECT * EXCLUDE (i) FROM (${rows}) WHERE i <> 77`, 'row.parquet');
    const digests = [
      await digestOf('a.parquet', {}, 'r1'),
      await digestOf('value.parquet', {}, 'r2'),
      await digestOf('row.parquet', {}, 'r3'),
      await digestOf('a.parquet', { 'holdout: 7d': 'holdout: 8d' }, 'r4'),
      await digestOf('a.parquet', { 'unit: EUR': 'unit: USD' }, 'r5'),
    ];
    expect(new Set(digests).size).toBe(5);
  });

  it('comes with the same Parquet bytes each time', async () => {
    await writeRows(bench, ORDERS, 'a.parquet');
    const first = await bench.ingest(specText('a.parquet'));
    const second = await bench.ingest(specText('a.parquet'), { run: 'r-0000000002-1' });
    expect(second.manifest).toEqual(first.manifest);
  });
});

describe('a retried activity', () => {
  it('returns the result that was kept, even when the source is gone', async () => {
    const path = await writeRows(bench, ORDERS, 'orders.parquet');
    const first = await bench.ingest(specText('orders.parquet'));
    await rm(path);
    expect((await bench.ingest(specText('orders.parquet'))).result).toEqual(first.result);
  });

  it('takes over the result of an earlier attempt that got past ingest, and not of another as-of', async () => {
    const path = await writeRows(bench, ORDERS, 'orders.parquet');
    const first = await bench.ingest(specText('orders.parquet'));
    await rm(path);
    const after = async (run: string, from: RunRequest['from']) =>
      (await bench.ingest(specText('orders.parquet'), { run, from })).result;
    expect(await after('r-0000000001-2', { run: 'r-0000000001-1', step: 'train' })).toEqual(first.result);
    expect(await after('r-0000000001-3', { run: 'r-0000000001-2', step: 'evaluate' })).toEqual(first.result);
    await expect(after('r-0000000001-4', { run: 'r-0000000001-1', step: 'ingest' })).rejects.toMatchObject({
      code: 'DATA_UNREADABLE',
    });
    await expect(bench.ingest(specText('orders.parquet'), { asOf: '2024-02-29T00:00:00.000Z' })).rejects.toMatchObject({
      code: 'DATA_UNREADABLE',
    });
  });
});

it('reads quarantine rows back with their reason and the values as they came', async () => {
  const rows = ORDERS.replace('FROM range', ', i FROM range');
  await writeRows(
    bench,
    `SELECT * EXCLUDE (i) REPLACE (CASE WHEN i = 5 THEN 'many' ELSE items::VARCHAR END AS items, CASE WHEN i = 6 THEN '5000' ELSE price::VARCHAR END AS price) FROM (${rows})`,
    'orders.csv',
  );
  const { manifest } = await bench.ingest(specText('orders.csv'));
  expect(manifest.quarantine).toMatchObject({
    rows: 2,
    reasons: { 'items: not a whole number': 1, 'price: outside [0, 1000]': 1 },
  });
  const copy = join(folder, 'quarantine.parquet');
  await bench.blobs
    .file(manifest.quarantine.blob!)
    .then((path) => import('node:fs/promises').then((fs) => fs.copyFile(path, copy)));
  expect(
    await bench.rows(`SELECT reason, "order", items, price FROM read_parquet(${quoteText(copy)}) ORDER BY 2`),
  ).toEqual([
    { reason: 'items: not a whole number', order: 'o00005', items: 'many', price: '36.43' },
    { reason: 'price: outside [0, 1000]', order: 'o00006', items: '1', price: '5000' },
  ]);
});

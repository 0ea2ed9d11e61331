import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createIngestActivities } from '../../../activities/ingest/create-ingest-activities';
import { openBench, ORDERS, specText, writeRows, type Bench } from './orders';

let folder: string;
let bench: Bench;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-ingest-'));
  bench = await openBench(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const activities = () =>
  createIngestActivities({ store: bench.store, blobs: bench.blobs, workFolder: join(folder, 'work') });

it('heartbeats its stages', async () => {
  await writeRows(bench, ORDERS, 'orders.parquet');
  const environment = new MockActivityEnvironment();
  const stages: string[] = [];
  // Each second the newest is repeated, for as long as the process lives.
  environment.on('heartbeat', (details: { stage: string } | null) => {
    if (details && stages.at(-1) !== details.stage) stages.push(details.stage);
  });
  await environment.run(activities().ingest, { request: await bench.request(specText('orders.parquet')) });
  expect(stages).toEqual([
    'opening',
    'reading',
    'writing train',
    'writing validation',
    'writing holdout',
    'digesting',
    'profiling',
  ]);
});

it('ends its child and leaves nothing when it is cancelled', async () => {
  await writeRows(bench, ORDERS, 'orders.parquet');
  const environment = new MockActivityEnvironment();
  environment.on('heartbeat', () => environment.cancel());
  const request = await bench.request(specText('orders.parquet'));
  await expect(environment.run(activities().ingest, { request })).rejects.toThrow(/cancel/i);
  expect(await readdir(join(folder, 'work'))).toEqual([]);
  expect(await bench.store.list(`runs/${request.model}/`)).toEqual([]);
});

it('gives both of two attempts at once the result that was kept first', async () => {
  await writeRows(bench, ORDERS, 'orders.parquet');
  const request = await bench.request(specText('orders.parquet'));
  const [first, second] = await Promise.all([activities().ingest({ request }), activities().ingest({ request })]);
  expect(second).toEqual(first);
  expect(await bench.store.list(`runs/${request.model}/${request.run}/`)).toHaveLength(1);
});

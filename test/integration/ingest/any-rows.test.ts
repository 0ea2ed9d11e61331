import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { runIngestJob } from '../../../activities/ingest/run-job';
import { parseSpec } from '../../../infra/spec/parse';
import { AS_OF, specText } from './orders';

const nasty = [
  '',
  ' ',
  '-',
  '0',
  '-0',
  '1e308',
  '1e400',
  '-1e39',
  'nan',
  'inf',
  '-inf',
  'NULL',
  'null',
  "';--",
  '"',
  '{v}',
  '\u0007',
  '𝄞',
  '9'.repeat(40),
  'true',
  '1',
  '12:30',
  '2024-02-30',
  '0000-00-00',
  '99999-01-01',
  'infinity',
  '253402300800000',
  '-62135596800001',
  '2024-02-01T00:00:00+25:00',
];
const cell = (good: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 30, arbitrary: good },
    { weight: 1, arbitrary: fc.constantFrom(...nasty) },
    { weight: 1, arbitrary: fc.string({ maxLength: 6 }) },
  );
const instant = fc
  .date({ min: new Date('2023-12-01'), max: new Date('2024-03-10'), noInvalidDate: true })
  .map((date) => date.toISOString());
const row = fc.tuple(
  cell(fc.nat(400).map((id) => `o${id}`)),
  cell(instant),
  cell(fc.double({ min: 0, max: 1_000, noNaN: true }).map(String)),
  cell(fc.nat(10).map(String)),
  cell(fc.constantFrom('DE', 'FR', 'ES')),
  cell(fc.constantFrom('true', 'false')),
  cell(instant),
  cell(fc.constantFrom('0', '1')),
  cell(instant),
);
const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const HEADER = ['order', 'placed', 'price', 'items', 'country', 'gift', 'local', 'returned', 'known'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-rows-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('every row of any CSV is in one split, left out for a reason, or in quarantine for a reason; or the run is refused with a code', async () => {
  const spec = parseSpec(specText('orders.csv', { 'quarantineBudget: 1%': 'quarantineBudget: 100%' }), {
    file: join(folder, 'model.yaml'),
  });
  const outcomes: Record<string, number> = {};
  const property = fc.asyncProperty(
    fc.array(row, { minLength: 100, maxLength: 200 }),
    fc.boolean(),
    async (rows, quoted) => {
      const lines = [HEADER, ...rows].map((cells) =>
        cells.map((text) => (quoted || /[",\r\n]/.test(text) ? quote(text) : text)).join(','),
      );
      await writeFile(join(folder, 'orders.csv'), `${lines.join('\n')}\n`);
      const report = await runIngestJob({ spec, asOf: AS_OF, threads: 1, memoryMb: 512 }, folder, () => undefined);
      outcomes[report.ok ? 'ok' : report.code] = (outcomes[report.ok ? 'ok' : report.code] ?? 0) + 1;
      const reasons = Object.values(report.quarantine.reasons).reduce((sum, count) => sum + count, 0);
      expect(reasons).toBe(report.quarantine.rows);
      if (!report.ok) {
        expect(['DATA_EMPTY_SPLIT', 'DATA_LABEL']).toContain(report.code);
        return;
      }
      const { splits, leftOut } = report.snapshot;
      const placed =
        splits.train.rows +
        splits.validation.rows +
        splits.holdout.rows +
        Object.values(leftOut).reduce((sum, count) => sum + count, 0);
      expect(placed + report.quarantine.rows).toBe(rows.length);
      const known = /^(order|placed|price|items|country|gift|local|returned|known|line): /;
      expect(Object.keys(report.quarantine.reasons).filter((reason) => !known.test(reason))).toEqual([]);
    },
  );
  await fc.assert(property, { numRuns: 40, seed: 11 });
  expect(outcomes['ok']).toBeGreaterThan(20);
});

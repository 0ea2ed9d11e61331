import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { makeFlights, readFlights, summariseFlights, type FlightFiles } from '../../../client/examples/flights/recipe';
import { quoteText, withDuckDb, type Row } from '../../../infra/data/duckdb';
import { parseSpec } from '../../../infra/spec/parse';

const source = join(dirname(require.resolve('vega-datasets')), '../data/flights-3m.parquet');
let folder: string;
let files: FlightFiles;

const rows = <T extends Row>(sql: string): Promise<T[]> =>
  withDuckDb(
    {
      threads: 2,
      memoryMb: 1_024,
      folder: join(folder, 'scratch'),
      files: [source, files.flights, files.kilometres, files.utcHours],
    },
    (db) => db.rows<T>(sql),
  );

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-flights-'));
  files = await makeFlights(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('samples one flight in ten with the late rate of each month of the whole', async () => {
  const months = (await summariseFlights(files)).map(({ month, flights, lateRate }) => [
    month,
    flights,
    Number(lateRate.toFixed(3)),
  ]);
  expect(months).toEqual([
    ['2001-01', 51_100, 0.207],
    ['2001-02', 46_169, 0.234],
    ['2001-03', 51_208, 0.211],
    ['2001-04', 49_648, 0.179],
    ['2001-05', 51_963, 0.16],
    ['2001-06', 50_242, 0.212],
  ]);
});

it('computes the late rate of an origin from all flights 4 to 8 hours before that had landed, and nothing later', async () => {
  const picked = await rows<{ id: string; at: string; origin: string; rate: number | null }>(
    `SELECT flight_id AS id, departure::VARCHAR AS at, origin, origin_late_rate AS rate FROM read_parquet(${quoteText(files.flights)}) ORDER BY md5(flight_id) LIMIT 40`,
  );
  expect(picked.filter((flight) => flight.rate === null).length).toBeGreaterThan(3);
  for (const { at, origin, rate } of picked) {
    const [expected] = await rows<{ n: number; rate: number }>(
      `SELECT count(*) AS n, avg((delay > 15)::INTEGER) AS rate FROM read_parquet(${quoteText(source)}) WHERE origin = ${quoteText(origin)}
         AND date BETWEEN TIMESTAMP ${quoteText(at)} - INTERVAL 8 HOURS AND TIMESTAMP ${quoteText(at)} - INTERVAL 4 HOURS - INTERVAL 1 SECOND
         AND epoch(date) + 60 * 40 + round(60 * (distance / 7.6 + greatest(delay, 0))) <= epoch(TIMESTAMP ${quoteText(at)})`,
    );
    if (expected!.n < 5) expect(rate).toBeNull();
    else expect(rate).toBeCloseTo(expected!.rate, 12);
  }
});

it('makes variants that differ in one column only', async () => {
  const [found] = await rows<Record<string, number>>(
    `SELECT count(*) AS n, max(abs(k.distance / f.distance - 1.609344)) AS km, min(date_diff('hour', f.departure_local, u.departure_local)) AS low,
       max(date_diff('hour', f.departure_local, u.departure_local)) AS high, count(*) FILTER (u.departure <> f.departure OR u.distance <> f.distance OR u.late <> f.late) AS other
     FROM read_parquet(${quoteText(files.flights)}) f JOIN read_parquet(${quoteText(files.kilometres)}) k USING (flight_id) JOIN read_parquet(${quoteText(files.utcHours)}) u USING (flight_id)`,
  );
  expect(found).toMatchObject({ n: 300_330, low: 4, high: 11, other: 0 });
  expect(found!['km']).toBeLessThan(1e-12);
});

it('gives back the flights of a day in their order', async () => {
  const flights = await readFlights(files, Date.parse('2001-03-20T00:00:00Z'), Date.parse('2001-03-21T00:00:00Z'));
  expect(flights.length).toBeGreaterThan(1_400);
  expect(flights.every((flight, index) => index === 0 || flights[index - 1]!.departureMs <= flight.departureMs)).toBe(
    true,
  );
  expect(flights[0]).toMatchObject({ departureMs: flights[0]!.departureLocalMs });
  expect(flights.every((flight) => flight.labelKnownAtMs > flight.departureMs + 40 * 60_000)).toBe(true);
});

it('is made once for a folder, and its specs find it', async () => {
  const before = (await stat(files.flights)).mtimeMs;
  await makeFlights(folder);
  expect((await stat(files.flights)).mtimeMs).toBe(before);
  const file = join(folder, 'utc-hours.yaml');
  expect(parseSpec(await readFile(file, 'utf8'), { file }).data.source).toBe(files.utcHours);
});

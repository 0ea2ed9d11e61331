import { copyFile, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { quoteText, withDuckDb, type DuckDb } from '../../../infra/data/duckdb';

/** Changes whenever the files would; a folder of another version is made anew. */
const VERSION = 1;
/** One row in ten, by hash of the id: the same flights every time. */
const SAMPLE = 10;
/** Fewer known flights than this say nothing about an origin's lateness. */
const MIN_KNOWN = 5;
const KM_PER_MILE = 1.609344;

export const FLIGHT_SPECS = ['late-arrival.yaml', 'challenger.yaml', 'kilometres.yaml', 'utc-hours.yaml'] as const;

export interface FlightFiles {
  /** Folder with the specs; their sources are below it. */
  readonly folder: string;
  /** What an application knows at pushback, with the label that is known later. */
  readonly flights: string;
  /** The same with `distance` in kilometres. */
  readonly kilometres: string;
  /** The same with the hour of `departure_local` in UTC, as a careless pipeline would have it. */
  readonly utcHours: string;
}

/** One flight as an application knows it at pushback; times are epoch milliseconds. */
export interface FlightRow {
  readonly id: string;
  readonly departureMs: number;
  readonly departureLocalMs: number;
  /** Miles. */
  readonly distance: number;
  readonly origin: string;
  readonly destination: string;
  readonly originLateRate: number | null;
  readonly late: number;
  readonly labelKnownAtMs: number;
}

/**
 * Makes the flights data sets and puts the specs beside them, once for a folder. The source is the 3 million US flights of January
 * to June 2001 in the npm package vega-datasets. Their `date` is the actual departure in the origin's local time; it is taken as the event time
 * as it is. Late means an arrival more than 15 minutes late, known once the flight has landed.
 */
export async function makeFlights(folder: string): Promise<FlightFiles> {
  const files = filesIn(resolve(folder));
  await mkdir(files.folder, { recursive: true });
  if (!(await isFile(files.flights))) await writeFiles(files);
  for (const spec of FLIGHT_SPECS) {
    const copy = join(files.folder, spec);
    if (copy !== join(__dirname, spec)) await copyFile(join(__dirname, spec), copy);
  }
  return files;
}

function filesIn(folder: string): FlightFiles {
  const data = join(folder, `data-v${VERSION}`);
  return {
    folder,
    flights: join(data, 'flights.parquet'),
    kilometres: join(data, 'flights-km.parquet'),
    utcHours: join(data, 'flights-utc.parquet'),
  };
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Into a folder of its own, renamed when whole, so that a recipe that was killed leaves nothing that looks finished. */
async function writeFiles(files: FlightFiles): Promise<void> {
  const work = await mkdtemp(join(files.folder, '.making-'));
  const source = vegaFile('flights-3m.parquet');
  const airports = vegaFile('airports.csv');
  try {
    await withDuckDb({ threads: 2, memoryMb: 2_048, folder: work, files: [source, airports] }, async (db) => {
      await loadFlights(db, source, airports);
      const made = join(work, 'made');
      await mkdir(made);
      await copyTo(db, 'SELECT * FROM flights', join(made, 'flights.parquet'));
      await copyTo(
        db,
        `SELECT * REPLACE (distance * ${KM_PER_MILE} AS distance) FROM flights`,
        join(made, 'flights-km.parquet'),
      );
      await copyTo(
        db,
        'SELECT * REPLACE (departure_local - to_hours(utc_offset_hours) AS departure_local) FROM flights',
        join(made, 'flights-utc.parquet'),
      );
    });
    await rename(join(work, 'made'), dirname(files.flights)).catch(async (error: NodeJS.ErrnoException) => {
      if (!(await isFile(files.flights))) throw error; // Somebody else was first, with the same bytes.
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const vegaFile = (name: string): string => join(dirname(require.resolve('vega-datasets')), '..', 'data', name);

const copyTo = (db: DuckDb, select: string, path: string): Promise<void> =>
  db.run(
    `COPY (${select.replace('SELECT *', 'SELECT * EXCLUDE (utc_offset_hours)')} ORDER BY departure, flight_id) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`,
  );

/**
 * Table `flights`. `label_known_at` is 40 minutes of taxi and boarding, the flight at 7.6 miles a minute, and the delay. `origin_late_rate` is
 * the late rate of all flights (not only the sampled ones) that left the same origin 4 to 8 hours before and had landed by this
 * departure. `utc_offset_hours` is the origin's nautical time zone, longitude / 15 rounded: standard time, within an hour or two.
 */
async function loadFlights(db: DuckDb, source: string, airports: string): Promise<void> {
  await db.run(`CREATE TABLE everything AS
    SELECT 'f' || lpad(file_row_number::VARCHAR, 7, '0') AS flight_id, date AS departure, distance::DOUBLE AS distance, origin, destination,
      (delay > 15)::INTEGER AS late, date + to_minutes(40) + to_seconds(round(60 * (distance / 7.6 + greatest(delay, 0)))::BIGINT) AS label_known_at
    FROM read_parquet(${quoteText(source)}, file_row_number = true)`);
  await db.run(`CREATE TABLE sampled AS SELECT * FROM everything WHERE md5_number_lower(flight_id) % ${SAMPLE} = 0`);
  await db.run(`CREATE TABLE rates AS
    SELECT s.flight_id, count(*) AS known, avg(e.late) AS rate
    FROM (SELECT *, unnest(range(4, 9)) AS back FROM sampled) s
    JOIN (SELECT origin, date_trunc('hour', departure) AS hour, departure, label_known_at, late FROM everything) e
      ON e.origin = s.origin AND e.hour = date_trunc('hour', s.departure) - to_hours(s.back)
    WHERE e.departure >= s.departure - INTERVAL 8 HOURS AND e.departure < s.departure - INTERVAL 4 HOURS AND e.label_known_at <= s.departure
    GROUP BY 1`);
  await db.run(`CREATE TABLE flights AS
    SELECT s.flight_id, s.departure, s.departure AS departure_local, s.distance, s.origin, s.destination,
      CASE WHEN r.known >= ${MIN_KNOWN} THEN r.rate END AS origin_late_rate, s.late, s.label_known_at, a.utc_offset_hours
    FROM sampled s LEFT JOIN rates r USING (flight_id)
    JOIN (SELECT iata, round(longitude / 15)::BIGINT AS utc_offset_hours FROM read_csv(${quoteText(airports)})) a ON a.iata = s.origin`);
}

/** Flights that departed in [fromMs, toMs), in that order: the traffic of the demo. */
export async function readFlights(files: FlightFiles, fromMs: number, toMs: number): Promise<FlightRow[]> {
  const work = await mkdtemp(join(files.folder, '.reading-'));
  try {
    return await withDuckDb({ threads: 1, memoryMb: 512, folder: work, files: [files.flights] }, async (db) => {
      const rows = await db.rows<{
        id: string;
        at: number;
        local: number;
        distance: number;
        origin: string;
        destination: string;
        rate: number | null;
        late: number;
        known: number;
      }>(
        `SELECT flight_id AS id, epoch_ms(departure) AS at, epoch_ms(departure_local) AS local, distance, origin, destination, origin_late_rate AS rate, late,
           epoch_ms(label_known_at) AS known FROM read_parquet(${quoteText(files.flights)})
         WHERE departure >= epoch_ms(${fromMs}::BIGINT) AND departure < epoch_ms(${toMs}::BIGINT) ORDER BY departure, flight_id`,
      );
      return rows.map(({ id, at, local, distance, origin, destination, rate, late, known }) => ({
        id,
        departureMs: at,
        departureLocalMs: local,
        distance,
        origin,
        destination,
        originLateRate: rate,
        late,
        labelKnownAtMs: known,
      }));
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

export interface FlightMonth {
  readonly month: string;
  readonly flights: number;
  readonly lateRate: number;
  /** Share of flights with an `origin_late_rate`. */
  readonly rated: number;
}

/** What came out, by month of departure. */
export async function summariseFlights(files: FlightFiles): Promise<FlightMonth[]> {
  const work = await mkdtemp(join(files.folder, '.reading-'));
  try {
    return await withDuckDb({ threads: 1, memoryMb: 512, folder: work, files: [files.flights] }, async (db) => {
      const rows = await db.rows<{ month: string; flights: number; late: number; rated: number }>(
        `SELECT strftime(departure, '%Y-%m') AS month, count(*) AS flights, avg(late) AS late, count(origin_late_rate) / count(*) AS rated
         FROM read_parquet(${quoteText(files.flights)}) GROUP BY 1 ORDER BY 1`,
      );
      return rows.map(({ month, flights, late, rated }) => ({ month, flights, lateRate: late, rated }));
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** `recipe.ts [folder]`: makes the files where the specs of this folder look for them, and prints what came out. */
async function main(folder: string): Promise<void> {
  const files = await makeFlights(folder);
  process.stdout.write('month    flights  late   with origin_late_rate\n');
  for (const { month, flights, lateRate, rated } of await summariseFlights(files)) {
    process.stdout.write(`${month}  ${String(flights).padStart(7)}  ${lateRate.toFixed(3)}  ${rated.toFixed(3)}\n`);
  }
  process.stdout.write(`${dirname(files.flights)}\n`);
}

if (require.main === module) {
  main(process.argv[2] ?? __dirname).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}

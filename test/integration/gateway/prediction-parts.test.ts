import fc from 'fast-check';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quoteText, withDuckDb, type DuckDb, type Row } from '../../../infra/data/duckdb';
import { PREDICTION_COLUMNS } from '../../../infra/predictions/schema';
import { DEFAULT_SERVING } from '../../../workflows/domain/serving';
import type { FeatureType } from '../../../workflows/domain/spec';
import { Breaker } from '../../../workers/gateway/routes/breaker';
import { BufferPool } from '../../../workers/gateway/records/buffer-pool';
import type { Column } from '../../../workers/gateway/inference/conversion';
import { MISSING_INT64 } from '../../../workers/gateway/inference/conversion';
import { PartEncoder, recordsByDay } from '../../../workers/gateway/records/prediction-part';
import type { LoggedRequest } from '../../../workers/gateway/records/prediction-row';
import { PredictionStage } from '../../../workers/gateway/records/prediction-stage';
import type { LoadedRelease } from '../../../workers/gateway/routes/served-model';
import { ServedModel } from '../../../workers/gateway/routes/served-model';

const DAY_MS = 86_400_000;
const TYPES: readonly FeatureType[] = ['number', 'integer', 'category', 'boolean', 'timestamp'];
const inputs = TYPES.map((type) => ({ name: `a "${type}"`, type }));
const release = {
  ref: { model: 'p/m', version: 7, digest: 'sha256:1' },
  manifest: { signature: { inputs }, serving: DEFAULT_SERVING },
} as unknown as LoadedRelease;
const route = { model: 'p/m', generation: 3, arms: [], assignment: { source: 'request' } } as never;
const parts = ['sha256:0', release, null, [], undefined as never, new Breaker(), Infinity] as const;
const served = new ServedModel(route, ...parts);

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'slipway-prediction-parts-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 90 }), fc.constantFrom('a', 'b'));
const whole = fc.oneof(fc.maxSafeInteger(), fc.constant(MISSING_INT64), fc.constantFrom(0, -1, 2 ** 32, -(2 ** 32)));
const VALUES: Readonly<Record<FeatureType, fc.Arbitrary<number | string>>> = {
  number: fc.double({ noDefaultInfinity: true }),
  integer: whole,
  timestamp: whole,
  category: text,
  boolean: fc.constantFrom(0, 1),
};

function columnOf(type: FeatureType, rows: number): fc.Arbitrary<Column> {
  const list = fc.array(VALUES[type], { minLength: rows, maxLength: rows });
  if (type === 'category') return list;
  return fc.oneof(
    list,
    list.map((values) => Float64Array.from(values as number[])),
  );
}

const request: fc.Arbitrary<LoggedRequest> = fc
  .record({
    rows: fc.integer({ min: 1, max: 20 }),
    isScored: fc.boolean(),
    isPaired: fc.boolean(),
    isBare: fc.boolean(),
  })
  .chain(({ rows, isScored, isPaired, isBare }) => {
    const scores = fc.float32Array({ minLength: rows, maxLength: rows, noNaN: true, noDefaultInfinity: true });
    return fc.record({
      ...{
        served: fc.constant(served),
        release: fc.constant(release),
        readBy: fc.constant(release),
        rows: fc.constant(rows),
      },
      ...{ arm: text, status: fc.constantFrom('ok', 'INFERENCE_FAILED'), requestId: text, key: text },
      eventMs: fc.integer({ min: 0, max: 3 * DAY_MS }),
      receivedMs: fc.integer({ min: 0, max: 4e12 }),
      inputs: fc
        .tuple(...TYPES.map((type) => columnOf(type, rows)))
        .map((columns) => ({ rows, columns: isBare ? [] : columns, flagged: 0, imputed: 0 })),
      scores: isScored ? scores : fc.constant(null),
      pairedRelease: isPaired ? fc.integer({ min: 1, max: 1e6 }) : fc.constant(null),
      pairedScores: isPaired ? scores : fc.constant(null),
      latencyUs: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      traceparent: fc.constantFrom(undefined, `00-${'4b'.repeat(16)}-00f067aa0ba902b7-01`),
    });
  })
  .map((made) => (made.key.length % 2 ? made : { ...made, key: made.requestId }));

/** What one row must say, by the meaning of its columns and not by how they are laid out. */
function expectedRow(of: LoggedRequest, row: number): Row {
  const own = inputs.map(({ name, type }, index) => {
    const value = of.inputs.columns[index]?.[row];
    const isMissing = value === undefined || value === '' || value === MISSING_INT64 || Number.isNaN(value);
    const kept = type === 'boolean' ? value === 1 : type === 'number' || type === 'category' ? value : String(value);
    return [`x.${name}`, isMissing ? null : kept] as const;
  });
  return {
    ...{ request_id: of.rows === 1 ? of.requestId : `${of.requestId}/${row}`, assignment_key: of.key, sample: 1 },
    ...{
      event_time: String(of.eventMs * 1_000),
      received_at: String(of.receivedMs * 1_000),
      generation: 3,
      release: 7,
    },
    ...{ arm: of.arm, status: of.status, score: of.scores?.[row] ?? null, paired_release: of.pairedRelease },
    ...{ paired_score: of.pairedScores?.[row] ?? null, latency_us: of.latencyUs },
    trace_id: of.traceparent === undefined ? null : '4b'.repeat(16),
    ...(Object.fromEntries(own) as Row),
  };
}

/** Integers and instants as text, since no double holds them all. */
const SELECTED = [
  ...Object.entries(PREDICTION_COLUMNS).map(([name, type]) =>
    type === 'TIMESTAMP' ? `epoch_us(${name})::VARCHAR AS ${name}` : name,
  ),
  ...inputs.map(({ name, type }) => {
    const quoted = `"x.${name.replaceAll('"', '""')}"`;
    return type === 'integer' || type === 'timestamp' ? `${quoted}::VARCHAR AS ${quoted}` : quoted;
  }),
];

async function withDb(use: (db: DuckDb) => Promise<void>): Promise<void> {
  await withDuckDb({ threads: 1, memoryMb: 256, folder, files: [] }, use);
}

const pool = new BufferPool();
const encoder = new PartEncoder();

/** A file for each day, by one stage. */
function writeParts(requests: readonly LoggedRequest[]): Map<number, string> {
  const stage = new PredictionStage(served, pool);
  for (const one of requests) stage.add(one);
  const batch = stage.take(1);
  const paths = new Map<number, string>();
  for (const [day, records] of recordsByDay(batch)) {
    paths.set(day, join(folder, `${day}.parquet`));
    writeFileSync(paths.get(day)!, encoder.encode(batch, records));
  }
  pool.give(batch.numbers);
  pool.give(batch.text);
  return paths;
}

describe('a part of the prediction log', () => {
  it('says of each row what its request said, by day and in their order, for any requests', async () => {
    await withDb(async (db) => {
      const holds = fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (requests) => {
        const paths = writeParts(requests);
        const days = new Set(requests.map(({ eventMs }) => Math.floor(eventMs / DAY_MS)));
        expect([...paths.keys()].sort()).toEqual([...days].sort());
        for (const [day, path] of paths) {
          const own = requests.filter(({ eventMs }) => Math.floor(eventMs / DAY_MS) === day);
          const expected = own.flatMap((one) => Array.from({ length: one.rows }, (_, row) => expectedRow(one, row)));
          expect(await db.rows(`SELECT ${SELECTED.join(', ')} FROM read_parquet(${quoteText(path)})`)).toEqual(
            expected,
          );
        }
      });
      await fc.assert(holds, { numRuns: 60, seed: 20_260_301 });
    });
  }, 120_000);

  it('has the columns and types that DuckDB would write', async () => {
    await withDb(async (db) => {
      const [path] = writeParts([fc.sample(request, { numRuns: 1, seed: 1 })[0]!]).values();
      const copy = join(folder, 'copy.parquet');
      await db.run(`COPY (SELECT * FROM read_parquet(${quoteText(path!)})) TO ${quoteText(copy)} (FORMAT parquet)`);
      const schemaOf = (file: string): Promise<Row[]> =>
        db.rows(
          `SELECT name, type, repetition_type, converted_type, logical_type::VARCHAR AS logical FROM parquet_schema(${quoteText(file)}) WHERE type IS NOT NULL`,
        );
      const schema = await schemaOf(path!);
      expect(schema).toHaveLength(Object.keys(PREDICTION_COLUMNS).length + inputs.length);
      expect(schema).toEqual(await schemaOf(copy));
      expect(schema.map(({ name }) => name)).toEqual([
        ...Object.keys(PREDICTION_COLUMNS),
        ...inputs.map(({ name }) => `x.${name}`),
      ]);
    });
  });

  it('keeps more categories than a byte can name, and than two can', async () => {
    await withDb(async (db) => {
      const [base] = fc.sample(request, { numRuns: 1, seed: 1 });
      for (const count of [257, 65_537]) {
        const categories = Array.from({ length: count }, (_, index) => `c${index}`);
        const columns = TYPES.map((type) => (type === 'category' ? categories : []));
        const own = { rows: count, columns, flagged: 0, imputed: 0 };
        const [path] = writeParts([{ ...base!, rows: count, inputs: own, scores: null, pairedScores: null }]).values();
        const sql = `SELECT count(DISTINCT c)::INT AS distinct_values, count(*) FILTER (c = 'c' || split_part(request_id, '/', -1))::INT AS placed
          FROM (SELECT request_id, "x.a ""category""" AS c FROM read_parquet(${quoteText(path!)}))`;
        expect(await db.rows(sql)).toEqual([{ distinct_values: count, placed: count }]);
      }
    });
  });
});

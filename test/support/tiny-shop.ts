import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { StartedRun, StartRunOptions } from '../../client/runs';
import type { SlipwayClient } from '../../client/slipway-client';
import { quoteText, withDuckDb } from '../../infra/data/duckdb';
import { readHistory, type RouteStep } from '../../infra/audit/history';
import { recordLabels } from '../../infra/labels/labels';
import { canonicalBytes } from '../../infra/object-store/digest';
import type { ObjectStore } from '../../infra/object-store/port';
import { keys } from '../../workflows/domain/keys';
import type { ArmCounts, ObservationDocument } from '../../workflows/domain/observation';
import { writePredictions, type PredictionRow } from './prediction-parts';
import { untilSeen } from './until';

/** A model so small that a whole lifecycle takes seconds: will an order be returned, from price and country. */
export const MODEL = 'shop/returns';
export const AS_OF = '2024-03-01T00:00:00.000Z';

const DAY_MS = 86_400_000;
const ROWS_A_DAY = 20;
/** Days of requests that `answerCanary` makes up; enough for the quality check of the spec to settle. */
const CANARY_DAYS = 8;

/** Sixty days of orders before the as-of, as Parquet; the same bytes' rows each time. */
export async function writeOrders(folder: string): Promise<string> {
  const file = join(folder, 'orders.parquet');
  const rows = `SELECT 'o' || lpad(i::VARCHAR, 5, '0') AS "order", TIMESTAMP '2024-01-01 00:00:00' + to_minutes(i * ${1440 / ROWS_A_DAY}) AS placed,
    round(10 + (i * 37 % 1000) / 7, 2)::DOUBLE AS price, ['DE', 'FR', 'ES'][1 + i % 3] AS country, (i % 7 < 2)::INTEGER AS returned,
    TIMESTAMP '2024-01-01 06:00:00' + to_minutes(i * ${1440 / ROWS_A_DAY}) AS known FROM range(${60 * ROWS_A_DAY}) t(i)`;
  await withDuckDb({ threads: 1, memoryMb: 256, folder, files: [] }, (db) =>
    db.run(`COPY (${rows}) TO ${quoteText(file)} (FORMAT parquet)`),
  );
  return file;
}

export interface TinySpecOptions {
  readonly seed?: number;
  readonly queue?: 'compute' | 'gpu';
  readonly approvals?: number;
  readonly within?: string;
  readonly clock?: 'event' | 'wall';
  /** Length of the one canary step. */
  readonly step?: string;
  readonly trainer?: string;
  readonly quality?: boolean;
}

/** Gates that every model passes, checks that a few hundred calm requests settle. */
export function tinySpec(options: TinySpecOptions = {}): string {
  const { seed = 1, queue = 'compute', approvals = 1, within = '1d', clock = 'event', step = '1d' } = options;
  const trainer = options.trainer ?? '{ kind: logistic, epochs: 2, batchSize: 64 }';
  const quality =
    options.quality === false
      ? ''
      : '\n  quality: { metric: logLoss, require: notWorse, margin: 50%, alpha: 0.5, minDays: 2 }';
  return `model: ${MODEL}
task: binary
clock: ${clock}
data: { source: orders.parquet, id: order, eventTime: placed, validation: 7d, holdout: 7d }
features:
  - { name: price, type: number, unit: EUR, range: [0, 1000] }
  - { name: country, type: category, values: [DE, FR, ES] }
label: { column: returned, knownAt: known, maturity: 12h }
training: { seed: ${seed}, queue: ${queue}, timeout: 5m, memory: 2GB, trainer: ${trainer} }
gates: [{ kind: threshold, metric: logLoss, max: 10 }]
approvals: { required: ${approvals}, within: ${within} }
rollout:
  steps: [{ weight: 50%, for: ${step} }]
  bake: 0s
  extensions: 9
  errors: { margin: 50%, alpha: 0.5, minKeys: 10 }${quality}
`;
}

/** One V2 inference request with valid inputs. */
export function tinyRequest(id: string, eventTimeMs: number | null = null): object {
  const input = (name: string, datatype: string, value: unknown): object => ({
    name,
    datatype,
    shape: [1, 1],
    data: [value],
  });
  return {
    id,
    ...(eventTimeMs === null ? {} : { parameters: { event_time: eventTimeMs } }),
    inputs: [input('price', 'FP32', 42.5), input('country', 'BYTES', 'DE')],
  };
}

/** The newest route once it has a challenger on a generation after `after`. */
export async function newestCanary(store: ObjectStore, after = 0): Promise<RouteStep | null> {
  const newest = (await readHistory(store, MODEL)).routes.at(-1);
  const isTrial = newest?.arms.some(({ name }) => name === 'challenger') === true;
  return newest && isTrial && newest.generation > after ? newest : null;
}

/** What gateways would have published of a calm canary: days of requests without errors, both arms alike, labels in. */
export async function answerCanary(store: ObjectStore, route: RouteStep): Promise<void> {
  const startMs = Date.parse(AS_OF) + route.generation * 100 * DAY_MS;
  const release = (arm: string): number => route.arms.find(({ name }) => name === arm)!.release.version;
  for (let day = 0; day < CANARY_DAYS; day += 1) {
    const rows = Array.from({ length: 60 }, (_, index): PredictionRow => ({
      request_id: `g${route.generation}-${day}-${index}`,
      event_ms: startMs + day * DAY_MS + index * 60_000,
      generation: route.generation,
      arm: 'challenger',
      release: release('challenger'),
      score: 0.3,
      paired_release: release('champion'),
      paired_score: 0.3,
    }));
    await writePredictions(store, MODEL, `g${route.generation}-${day}`, rows);
    const labels = rows.map(({ request_id, event_ms }, index) => ({
      requestId: request_id,
      label: index % 3 === 0 ? 1 : 0,
      eventTimeMs: event_ms,
      knownAtMs: event_ms + 3_600_000,
    }));
    await recordLabels(store, MODEL, labels);
  }
  await publishObservation(store, route.generation, startMs, startMs + (CANARY_DAYS + 1) * DAY_MS);
}

async function publishObservation(
  store: ObjectStore,
  generation: number,
  startMs: number,
  watermarkMs: number,
): Promise<void> {
  const counts: ArmCounts = { requests: 240, errors: 0, keys: 240, errorKeys: 0, latencyMsSum: 240 };
  const document: ObservationDocument = {
    schema: 'slipway.observation/1',
    model: MODEL,
    generation,
    gateway: 'made-up',
    incarnation: 'one',
    updatedAt: AS_OF,
    watermarkMs,
    arms: { champion: counts, challenger: counts },
    windows: [
      { startMs, arm: 'champion', requests: 240, errors: 0 },
      { startMs: watermarkMs, arm: 'challenger', requests: 240, errors: 0 },
    ],
    paired: { keys: 480, sumAbsDifference: 0, sumSquaredDifference: 0 },
    lostAtMost: 0,
  };
  await store.put(keys.observation(MODEL, generation, 'one'), canonicalBytes(document));
}

type Stack = { readonly client: SlipwayClient; readonly config: SlipwayClient['config'] };

/** Starts a run whose spec lies beside the orders, in the state folder. `commit` names the run. */
export async function startTiny(
  { client, config }: Stack,
  commit: string,
  spec: TinySpecOptions = {},
  more: Partial<StartRunOptions> = {},
): Promise<StartedRun> {
  const specFile = join(dirname(config.home), `${commit}.yaml`);
  writeFileSync(specFile, tinySpec(spec));
  return client.startRun({ specText: tinySpec(spec), specFile, commit, asOf: AS_OF, ...more });
}

/** One approval as a signal, as soon as the run waits for it. */
export async function approveTiny({ client }: Stack, { run }: StartedRun): Promise<void> {
  const prepared = await untilSeen('a release to approve', () =>
    client.prepareDecision(MODEL, 'approve', { run, key: 'approver-1' }),
  );
  await client.signalDecision(prepared);
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { createPredictionReader } from '../../../infra/predictions/reader';
import { createFsStore } from '../../../infra/object-store/fs-store';
import { DEFAULT_SERVING, type ServingSpec } from '../../../workflows/domain/serving';
import { Breaker } from '../../../workers/gateway/routes/breaker';
import { Outbox } from '../../../workers/gateway/records/outbox';
import { PredictionLog } from '../../../workers/gateway/records/prediction-log';
import type { LoggedRequest } from '../../../workers/gateway/records/prediction-row';
import { refusedRequest } from '../../../workers/gateway/records/prediction-row';
import type { LoadedRelease } from '../../../workers/gateway/routes/served-model';
import { ServedModel } from '../../../workers/gateway/routes/served-model';
import { expandGlob, quoteText, withDuckDb, type Row } from '../../../infra/data/duckdb';
import { GatewayFixture, inferBody, MODEL, post, ready, until } from './fixture';
import { DISTANCE, linearModel, signatureWith } from './models';

const DAY_MS = Date.parse('2026-03-01T00:00:00Z');
const WINDOW = { model: MODEL, fromMs: DAY_MS, toMs: DAY_MS + 86_400_000, release: null, asOfMs: DAY_MS };

let folder: string;
let problems: string[];
beforeEach(() => {
  problems = [];
  folder = mkdtempSync(join(tmpdir(), 'slipway-prediction-log-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const release = {
  ref: { model: MODEL, version: 1, digest: 'sha256:1' },
  manifest: { signature: signatureWith([DISTANCE]), serving: DEFAULT_SERVING },
} as unknown as LoadedRelease;
const route = { model: MODEL, generation: 1, arms: [], assignment: { source: 'request' } };
const served = new ServedModel(
  route as never,
  'sha256:0',
  release,
  null,
  [],
  undefined as never,
  new Breaker(),
  Infinity,
);

function answered(requestId: string): LoggedRequest {
  return {
    ...refusedRequest({
      call: { served, requestId, key: requestId, eventMs: DAY_MS, receivedMs: DAY_MS + 1_000, traceparent: undefined },
      ...{ rows: 1, code: 'INPUT_INVALID', latencyUs: 5 },
    }),
    status: 'ok',
    inputs: { rows: 1, columns: [[7]], flagged: 0, imputed: 0 },
    scores: Float32Array.of(0.5),
  };
}

function refused(requestId: string, rows = 1): LoggedRequest {
  const call = { served, requestId, key: requestId, eventMs: DAY_MS, receivedMs: DAY_MS, traceparent: undefined };
  return refusedRequest({ call, rows, code: 'INPUT_INVALID', latencyUs: 5 });
}

/** What the Parquet of all days says. */
async function query(sql: string): Promise<Row[]> {
  const parts = await expandGlob(join(folder, 'store', '**', '*.parquet'));
  const source = `read_parquet([${parts.map(quoteText).join(', ')}], union_by_name = true)`;
  return withDuckDb({ threads: 1, memoryMb: 256, folder, files: [] }, (db) => db.rows(sql.replace('PARTS', source)));
}

/** One generation under a log policy of its own. */
function servedWith(log: Partial<ServingSpec['log']>, assignment: object = { source: 'request' }): ServedModel {
  const serving = { ...DEFAULT_SERVING, log: { ...DEFAULT_SERVING.log, ...log } };
  const own = { ...release, manifest: { ...release.manifest, serving } };
  const parts = ['sha256:0', own, null, [], undefined as never, new Breaker(), Infinity] as const;
  return new ServedModel({ ...route, assignment } as never, ...parts);
}

function openLog(): PredictionLog {
  const store = createFsStore(join(folder, 'store'));
  const onProblem = (error: Error): void => void problems.push(error.message);
  const outbox = new Outbox(join(folder, 'outbox'), (key, bytes) => store.put(key, bytes), onProblem);
  return new PredictionLog({ outbox, incarnation: 'g-1', onProblem });
}

function reader(): ReturnType<typeof createPredictionReader> {
  return createPredictionReader(createFsStore(join(folder, 'store')), join(folder, 'mirror'));
}

function threadOf(log: PredictionLog): Worker | null {
  return (log as unknown as { worker: Worker | null }).worker;
}

describe('a log thread that dies', () => {
  it('is started again; what it had counts as dropped, what waited is written', async () => {
    const log = openLog();
    log.add(answered('before'));
    (log as unknown as { flush: () => void }).flush();
    await threadOf(log)!.terminate();
    await until(() => problems.length === 1, 'the death is told', 30_000);
    expect([log.rows, log.dropped]).toEqual([1, 1]);
    for (const id of ['after-1', 'after-2']) log.add(answered(id));
    await until(() => threadOf(log) !== null, 'another thread', 30_000);
    await log.close();
    expect([log.rows, log.dropped]).toEqual([3, 1]);
    expect(await reader().statuses(WINDOW)).toEqual({ ok: 2 });
  });

  it('while the log is closed does not hold the process: what waits counts as dropped', async () => {
    const log = openLog();
    for (let death = 0; death < 2; death += 1) await threadOf(log)?.terminate();
    await until(() => problems.length === 1, 'the death is told', 30_000);
    log.add(answered('a'));
    const closed = log.close();
    await threadOf(log)!.terminate();
    await closed;
    expect(log.dropped).toBe(1);
  });
});

describe('a refused request', () => {
  it('is in the log with its code and no value, and not among the inputs of the model', async () => {
    const log = openLog();
    log.add(answered('good'));
    log.add(refused('bad', 2));
    await log.close();
    expect(await reader().statuses(WINDOW)).toEqual({ ok: 1, INPUT_INVALID: 2 });
    expect(await reader().inputs(WINDOW, { distance: 'number' })).toEqual({ distance: Float64Array.of(7) });
  });

  it.each([
    ['a feature', { source: 'feature', name: 'origin' }, [null, null]],
    ['a parameter', { source: 'parameter', name: 'user' }, ['typed', 'typed']],
  ])('keeps no key that is %s and was refused with it', async (_, assignment, kept) => {
    const log = openLog();
    const call = { served: servedWith({}, assignment), requestId: 'bad', key: 'typed' };
    const times = { eventMs: DAY_MS, receivedMs: DAY_MS, traceparent: undefined };
    log.add(refusedRequest({ call: { ...call, ...times }, rows: 2, code: 'INPUT_INVALID', latencyUs: 5 }));
    await log.close();
    expect((await query('SELECT assignment_key FROM PARTS')).map((row) => row['assignment_key'])).toEqual(kept);
  });

  it('of a caller is logged by the gateway, row by row, and what is no request is not', async () => {
    const fixture = new GatewayFixture();
    try {
      await fixture.route(await fixture.release(linearModel(1, 1)));
      const gateway = await fixture.start();
      await ready(gateway);
      const fromMs = Date.now() - 86_400_000;
      const answers = [
        await post(gateway.url, inferBody([1])),
        await post(gateway.url, inferBody([1, 9_999_999])),
        await post(gateway.url, '{'),
      ];
      expect(answers.map(({ status }) => status)).toEqual([200, 422, 400]);
      await fixture.stop(gateway);
      const window = { ...WINDOW, fromMs, toMs: fromMs + 3 * 86_400_000, asOfMs: fromMs };
      const logged = createPredictionReader(fixture.store, join(folder, 'mirror'));
      expect(await logged.statuses(window)).toEqual({ ok: 1, INPUT_INVALID: 2 });
    } finally {
      await fixture.dispose();
    }
  });

  it('gives way to the answer of the same request put right', async () => {
    const log = openLog();
    log.add(refused('again'));
    log.add(answered('again'));
    await log.close();
    expect(await reader().statuses(WINDOW)).toEqual({ ok: 1 });
    expect(await reader().dayScores(WINDOW)).toMatchObject([{ rows: 1 }]);
  });

  it('does not crowd out what was answered', async () => {
    const log = openLog();
    for (let index = 0; index < 30; index += 1) log.add(refused(`bad-${index}`, 1_000));
    expect([log.rows, log.dropped]).toEqual([10_000, 20_000]);
    log.add(answered('good'));
    expect(log.dropped).toBe(20_000);
    await log.close();
  });
});

describe('the policy of a model', () => {
  it('samples by the id of the request, and says so in every row', async () => {
    const log = openLog();
    const sampled = servedWith({ sample: 0.3 });
    for (let sent = 0; sent < 2_000; sent += 1)
      log.add({
        ...answered(`r-${sent % 1_000}`),
        served: sampled,
        release: sampled.champion,
        readBy: sampled.champion,
      });
    await log.close();
    const [row] = await query('SELECT count(*)::INT AS rows, count(DISTINCT request_id)::INT AS ids FROM PARTS');
    // Five standard deviations of 1,000 draws are 72.
    expect(Math.abs(Number(row!['ids']) - 300)).toBeLessThan(72);
    expect(row!['rows']).toBe(Number(row!['ids']) * 2);
    expect(await query('SELECT DISTINCT sample FROM PARTS')).toEqual([{ sample: 0.3 }]);
    expect(log.dropped).toBe(0);
  });

  it('leaves out what is redacted, also where it is the assignment key', async () => {
    const log = openLog();
    const quiet = servedWith({ redact: ['distance'] }, { source: 'feature', name: 'distance' });
    log.add({ ...answered('quiet'), served: quiet, release: quiet.champion, readBy: quiet.champion, key: '7' });
    log.add(answered('loud'));
    await log.close();
    const rows = await query(
      'SELECT request_id, "x.distance" AS distance, assignment_key, score FROM PARTS ORDER BY 1',
    );
    expect(rows).toEqual([
      { request_id: 'loud', distance: 7, assignment_key: 'loud', score: 0.5 },
      { request_id: 'quiet', distance: null, assignment_key: null, score: 0.5 },
    ]);
  });

  it('keeps what a tester asked of an arm, and counts it nowhere', async () => {
    const log = openLog();
    log.add(answered('traffic'));
    log.add({ ...answered('test'), arm: 'override' });
    await log.close();
    expect(await query('SELECT count(*)::INT AS rows FROM PARTS')).toEqual([{ rows: 2 }]);
    expect(await reader().statuses(WINDOW)).toEqual({ ok: 1 });
  });
});

describe('a trace', () => {
  it('finds its prediction, and nothing where its context is none', async () => {
    const log = openLog();
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    log.add({ ...answered('a-traced'), traceparent: `00-${trace}-00f067aa0ba902b7-01` });
    log.add({ ...answered('b-other'), traceparent: 'anything at all' });
    log.add(answered('c-none'));
    await log.close();
    const rows = await query('SELECT trace_id FROM PARTS ORDER BY request_id');
    expect(rows.map((row) => row['trace_id'])).toEqual([trace, null, null]);
  });
});

import { MockActivityEnvironment } from '@temporalio/testing';
import { isStepOver } from '../../../activities/watching/watch-canary';
import { createWatchActivities } from '../../../activities/watching/create-watch-activities';
import { createBlobStore } from '../../../infra/object-store/blobs';
import { canonicalBytes } from '../../../infra/object-store/digest';
import type { PairedQuery, PairedRows } from '../../../infra/predictions/reader';
import type { ReleaseManifest } from '../../../workflows/domain/release';
import type { WatchInput } from '../../../workflows/deployment.activities';
import { keys } from '../../../workflows/domain/keys';
import {
  WINDOW_MS,
  type ArmCounts,
  type ObservationDocument,
  type PairedWindowRow,
  type WindowRow,
} from '../../../workflows/domain/observation';
import type { CanaryReport, QualityReport } from '../../../workflows/domain/rollout';
import type { AssignmentSpec } from '../../../workflows/domain/spec';
import { createMemoryStore } from '../../support/memory-store';
import { temporaryFolder } from '../../support/temporary-folder';

const model = 'flights/late-arrival';
const hour = 3_600_000;
const day = 24 * hour;
const start = Date.UTC(2001, 2, 1);
const folder = temporaryFolder('watches');
afterAll(() => folder.remove());

describe('watch of a canary step', () => {
  it('returns when the step is over in event time, with what it saw as evidence', async () => {
    const { watch, observe, blobs } = await setUp();
    await observe({ watermarkMs: start + 3 * day });
    const report = await watch('watchCanary', { eventStartMs: start });
    expect(report.reason).toBe('step-over');
    expect(report.verdicts.map(({ check, outcome }) => [check, outcome])).toEqual([
      ['errors', 'pass'],
      ['disagreement', 'pass'],
    ]);
    expect(report.watermark).toBe('2001-03-04T00:00:00.000Z');
    expect(await blobs.getJson(report.evidence)).toMatchObject({
      rollout: 'rollout-2-2',
      documents: [{ incarnation: 'one' }],
    });
  });

  it('begins a step whose start is not known with the first request under its own route', () => {
    const before = observation({ watermarkMs: start + 5 * day });
    const own = (watermarkMs: number): ObservationDocument =>
      observation({ generation: 3, windows: windowsOf(start + 5 * day, watermarkMs), watermarkMs });
    const step = { ...input(), generations: [2, 3] };
    expect(isStepOver(step, { documents: [before] }, 0)).toBe(false);
    expect(isStepOver(step, { documents: [before, own(start + 8 * day - 1)] }, 0)).toBe(false);
    expect(isStepOver(step, { documents: [before, own(start + 8 * day)] }, 0)).toBe(true);
  });

  it('sums generations and incarnations, and returns at once when the challenger fails', async () => {
    const { watch, observe } = await setUp();
    await observe({ challenger: arm(30, 4), incarnation: 'one' });
    await observe({ challenger: arm(30, 5), incarnation: 'two', generation: 3 });
    const report = await watch('watchCanary', { generations: [2, 3] });
    expect(report.reason).toBe('verdict');
    expect(report.verdicts[0]!.counts).toMatchObject({ challengerKeys: 60, challengerErrorKeys: 9 });
  });

  it('judges gateways apart where callers have keys, and adds up what they counted where each request is its own', async () => {
    const seen = async (assignment: AssignmentSpec): Promise<unknown> => {
      const { watch, observe } = await setUp({ assignment });
      for (const gateway of ['a', 'b', 'c', 'd'])
        await observe({ gateway, incarnation: gateway, openedAt: gateway, challenger: arm(150, 0) });
      const report = await watch('watchCanary', { endsAtMs: 0 });
      const { outcome, counts } = report.verdicts[0]!;
      return [outcome, counts.challengerKeys, counts.gateways];
    };
    expect(await seen({ source: 'header', name: 'user' })).toEqual(['inconclusive', 150, 4]);
    expect(await seen({ source: 'request' })).toEqual(['pass', 600, undefined]);
  });

  it('goes on through a night of large differences, and judges the days of all gateways', async () => {
    const { watch, observe } = await setUp();
    const days = [0.1, 0.102, 0.101, 0.1].map((mean, at) => pairedDay(at, mean));
    const paired = { keys: 400, sumAbsDifference: 40, sumSquaredDifference: 4 };
    await observe({ watermarkMs: start + 5 * hour, paired, pairedWindows: days.slice(0, 1) });
    const first = await watch('watchCanary', { endsAtMs: 0 });
    expect(first.verdicts[1]).toMatchObject({ outcome: 'inconclusive', resolves: '3 more whole days' });
    await observe({ watermarkMs: start + 4 * day, paired, pairedWindows: days.slice(0, 2) });
    await observe({ watermarkMs: start + 4 * day, paired, pairedWindows: days.slice(2), incarnation: 'two' });
    const last = await watch('watchCanary', {});
    expect([last.reason, last.verdicts[1]!.outcome, last.verdicts[1]!.counts]).toEqual([
      'verdict',
      'fail',
      { keys: 800, days: 4 },
    ]);
  });

  it.each([
    [{}, 'errors of the challenger', 9],
    [{ kind: 'changed' }, 'gateways that found the endpoint changed', 1],
  ])('returns for a breaker of any gateway, with its own words: %j', async (kind, name, value) => {
    const { watch, observe, store } = await setUp();
    await observe({});
    const event = {
      schema: 'slipway.breaker/1',
      model,
      generation: 2,
      gateway: 'g',
      incarnation: 'one',
      at: '',
      requests: 9,
      errors: 9,
      reason: 'r',
      ...kind,
    };
    await store.create(keys.breakerEvent(model, 2, 'one'), canonicalBytes(event));
    const report = await watch('watchCanary', {});
    expect(report.reason).toBe('breaker');
    expect(report.verdicts.at(-1)).toMatchObject({
      ...{ check: 'breaker', outcome: 'fail', statistic: { name, value } },
      detail: 'gateway g took the challenger out: r',
    });
  });

  it('is inconclusive at the wall-clock bound when nobody sent anything', async () => {
    const { watch } = await setUp();
    const report = await watch('watchCanary', { endsAtMs: 0 });
    expect(report.reason).toBe('step-over');
    expect(report.verdicts.map(({ outcome }) => outcome)).toEqual(['inconclusive', 'inconclusive']);
    expect(report.watermark).toBeNull();
  });

  it('notices that another route was committed', async () => {
    const { watch, store } = await setUp();
    await store.create(keys.route(model, 3), canonicalBytes({}));
    expect((await watch('watchCanary', {})).reason).toBe('generation-lost');
  });

  it('goes on while it is held, and ends when it is cancelled', async () => {
    const { start: begin, observe } = await setUp();
    await observe({ watermarkMs: start + 30 * day });
    const { environment, result } = begin('watchCanary', { eventStartMs: start, hold: true });
    const beats = new Promise((resolve) => environment.on('heartbeat', resolve));
    await beats;
    environment.cancel();
    await expect(result).rejects.toThrow(/CANCELLED|cancel/i);
  });
});

describe('watch of paired quality', () => {
  it('passes once enough matured days are better, and uses no label known later', async () => {
    const { watch, observe, queries } = await setUp({ gain: 0.05 });
    await observe({ watermarkMs: start + 20 * day });
    const report = await watch('watchQuality', {});
    expect(report.verdict.outcome).toBe('pass');
    expect(queries.map((query) => query.day).slice(0, 2)).toEqual(['2001-03-01', '2001-03-02']);
    expect(queries.every((query) => query.asOfMs === Date.parse(`${query.day}T00:00:00Z`) + day + 12 * hour)).toBe(
      true,
    );
    expect(new Set(queries.map((query) => query.day)).size).toBe(queries.length);
    expect(queries.length).toBe(19);
  });

  it('fails a worse challenger', async () => {
    const { watch, observe } = await setUp({ gain: -0.1 });
    await observe({ watermarkMs: start + 20 * day });
    expect((await watch('watchQuality', {})).verdict.outcome).toBe('fail');
  });

  it('is inconclusive at the end of the step when too few days have matured', async () => {
    const { watch, observe, blobs } = await setUp({ gain: 0.05 });
    await observe({ watermarkMs: start + 3 * day });
    const report = await watch('watchQuality', { eventStartMs: start });
    expect(report.verdict).toMatchObject({ outcome: 'inconclusive', counts: { days: 2 } });
    expect(await blobs.getJson(report.evidence)).toMatchObject({
      series: [{ day: '2001-03-01' }, { day: '2001-03-02' }],
    });
  });

  it('gives what it has when it is cancelled', async () => {
    const { start: begin, observe } = await setUp({ gain: 0.05 });
    await observe({ watermarkMs: start + 2 * day });
    const { environment, result } = begin('watchQuality', {});
    await new Promise((resolve) => environment.on('heartbeat', resolve));
    environment.cancel();
    expect(((await result) as QualityReport).verdict).toMatchObject({ outcome: 'inconclusive', counts: { days: 1 } });
  });
});

async function setUp({
  gain = 0,
  assignment = { source: 'parameter', name: 'user' },
}: { readonly gain?: number; readonly assignment?: AssignmentSpec } = {}) {
  const store = createMemoryStore();
  const blobs = createBlobStore(store, folder.path);
  const spec = await blobs.putJson({ label: { maturityMs: 12 * hour }, assignment });
  const manifest = { spec, signature: { task: 'binary' } } as ReleaseManifest;
  const queries: PairedQuery[] = [];
  const predictions = {
    pairedRows: async (query: PairedQuery): Promise<PairedRows> => {
      queries.push(query);
      return pairedRows(gain);
    },
  };
  const ports = {
    store,
    blobs,
    predictions,
    releases: { manifest: async () => manifest },
    now: () => 1_000,
    lookEveryMs: 5,
  };
  const activities = createWatchActivities(ports);
  const begin = (name: keyof typeof activities, overrides: Partial<WatchInput>) => {
    const environment = new MockActivityEnvironment();
    const result = environment.run(activities[name], {
      ...input(),
      ...overrides,
    });
    return { environment, result };
  };
  async function watch(name: 'watchCanary', overrides: Partial<WatchInput>): Promise<CanaryReport>;
  async function watch(name: 'watchQuality', overrides: Partial<WatchInput>): Promise<QualityReport>;
  async function watch(name: keyof typeof activities, overrides: Partial<WatchInput>): Promise<unknown> {
    return begin(name, overrides).result;
  }
  const observe = (overrides: Partial<ObservationDocument> & { challenger?: ArmCounts }): Promise<void> => {
    const document = observation(overrides);
    return store.put(keys.observation(model, document.generation, document.incarnation), canonicalBytes(document));
  };
  return { store, blobs, queries, watch, start: begin, observe };
}

/** 100 rows whose loss of the challenger is about `gain` of the champion's smaller. */
function pairedRows(gain: number): PairedRows {
  const labels = Float64Array.from({ length: 100 }, (_, row) => row % 2);
  const score = (p: number): Float64Array => labels.map((label) => (label === 1 ? p : 1 - p));
  return { paired: 100, labels, champion: score(0.6), challenger: score(0.6 ** (1 - gain)) };
}

function input(): WatchInput {
  return {
    model,
    rollout: {
      id: 'rollout-2-2',
      release: { model, version: 2, digest: 'sha256:00' },
      run: null,
      clock: 'event',
      spec: {
        bootstrap: 'direct',
        steps: [{ weight: 0.1, forMs: 3 * day }],
        bakeMs: 0,
        extensions: 0,
        errors: { margin: 0.02, alpha: 0.05, minKeys: 100 },
        disagreement: { max: 0.07, gross: 0.14, alpha: 0.05, minKeys: 100 },
        quality: { metric: 'logLoss', require: 'better', margin: 0.01, alpha: 0.05, minDays: 5 },
      },
    },
    ...{ step: 0, generations: [2], startedAtMs: 0, endsAtMs: 1e15, eventStartMs: null },
  };
}

function pairedDay(at: number, mean: number): PairedWindowRow {
  return { startMs: start + at * day, keys: 200, sumAbsDifference: 200 * mean, sumSquaredDifference: 400 * mean ** 2 };
}

function arm(count: number, errorKeys: number): ArmCounts {
  return { requests: count, errors: errorKeys, keys: count, errorKeys, latencyMsSum: 0 };
}

/** Traffic at both ends of a time. */
function windowsOf(fromMs: number, untilMs: number): WindowRow[] {
  return [fromMs, untilMs].map((atMs) => ({
    startMs: Math.floor(atMs / WINDOW_MS) * WINDOW_MS,
    ...{ arm: 'champion', requests: 2_000, errors: 1 },
  }));
}

function observation({
  challenger,
  watermarkMs = start + hour,
  ...overrides
}: Partial<ObservationDocument> & { challenger?: ArmCounts }): ObservationDocument {
  return {
    ...{ schema: 'slipway.observation/1', model, generation: 2, gateway: 'g', incarnation: 'one', updatedAt: '' },
    watermarkMs,
    arms: { champion: arm(4_000, 2), challenger: challenger ?? arm(600, 0) },
    windows: windowsOf(start, watermarkMs ?? start),
    paired: { keys: 600, sumAbsDifference: 18, sumSquaredDifference: 1 },
    pairedWindows: [0, 1, 2].map((at) => pairedDay(at, 0.03)),
    lostAtMost: 0,
    ...overrides,
  };
}

import { createLookActivities, createLookRecorder } from '../../../activities/monitoring/create-monitoring-activities';
import type { AuditRecord } from '../../../infra/audit/port';
import { recordLabels } from '../../../infra/labels/labels';
import { createBlobStore } from '../../../infra/object-store/blobs';
import { createPredictionReader } from '../../../infra/predictions/reader';
import type { StoredRoute } from '../../../infra/routes/port';
import type { MonitorReport } from '../../../workflows/domain/monitoring';
import { profileCategories, profileNumbers, type Profile } from '../../../workflows/domain/profile';
import type { ReleaseManifest } from '../../../workflows/domain/release';
import { DEFAULT_SERVING } from '../../../workflows/domain/serving';
import { normalFrom, seededRandom } from '../../../workflows/domain/statistics/random';
import { createMemoryStore } from '../../support/memory-store';
import { writePredictions } from '../../support/prediction-parts';
import { temporaryFolder } from '../../support/temporary-folder';

const model = 'flights/late-arrival';
const day = 86_400_000;
const start = Date.UTC(2001, 3, 1);
const folder = temporaryFolder('look');
afterAll(() => folder.remove());

describe('look of the monitor', () => {
  it('finds healthy traffic healthy, gives the same answer again, and audits it', async () => {
    const { look, store, blobs } = await setUp('healthy');
    await traffic(store, 0, 8, {});
    const result = await look(7);
    expect(result).toMatchObject({ decision: 'healthy', retrainAsOf: null });
    const report = await blobs.getJson<MonitorReport>(result.report);
    expect([report.rows, report.labelled, report.calibration.outcome]).toEqual([700, 600, 'pass']);
    await traffic(store, 0, 7, { shift: 3, part: 'more' });
    expect(await look(7)).toEqual(result);

    const audited: AuditRecord[] = [];
    const append = async (_: string, record: AuditRecord) => (
      audited.push(record),
      { sequence: 1, digest: result.report }
    );
    await createLookRecorder({ append }).recordLook({ model, look: 'look-7', result });
    expect(audited[0]).toMatchObject({ id: `look/${model}/look-7`, kind: 'monitor.looked', evidence: [result.report] });
  });

  it('asks for a retrain after two windows of scores above labels', async () => {
    const { look, store } = await setUp('decay');
    await traffic(store, 0, 15, { score: 0.3 });
    expect((await look(8)).decision).toBe('healthy');
    const second = await look(15);
    expect(second).toMatchObject({ decision: 'retrain', retrainAsOf: new Date(start + 15 * day).toISOString() });
    expect(second.detail).toMatch(/^calibration: scores are \+0\.1000/);
  });

  it.each([
    ['request', 'pass', 0],
    ['never', 'fail', 0.1],
  ] as const)(
    'holds against labels what callers are given: serving.calibration %s',
    async (calibration, outcome, gap) => {
      const map = { ...{ scores: [0.2, 0.3], probabilities: [0.1, 0.2] }, rows: 5_000, split: 'validation' } as const;
      const { look, store, blobs, manifest } = await setUp(`mapped-${calibration}`);
      Object.assign(manifest, {
        calibration: { method: 'isotonic', ...map },
        serving: { ...manifest.serving, calibration },
      });
      await traffic(store, 0, 8, { score: Math.fround(0.3) });
      const { calibration: found } = await blobs.getJson<MonitorReport>((await look(8)).report);
      expect(found.outcome).toBe(outcome);
      expect(found.statistic.value).toBeCloseTo(gap, 6);
      expect(found.statistic.name).toBe(`mean(${gap === 0 ? 'calibrated' : 'score'}) - mean(label)`);
    },
  );

  it('asks for a retrain after two windows of shifted inputs, naming the feature', async () => {
    const { look, store } = await setUp('drift');
    await traffic(store, 0, 15, { shift: 1 });
    await look(7);
    const second = await look(14);
    expect(second.decision).toBe('retrain');
    expect(second.detail).toMatch(/^drift:distance: PSI/);
  });

  it('calls values that are missing broken data, and does not retrain on them', async () => {
    const { look, store } = await setUp('broken');
    await traffic(store, 0, 8, { missing: true });
    const result = await look(7);
    expect(result.decision).toBe('data-broken');
    expect(result.detail).toContain('missing:origin: 100.00 % of 700 rows, 5.00 % tolerated');
  });

  it('cannot tell drift of a redacted feature, and takes its absence for no defect', async () => {
    const { look, store, blobs } = await setUp('redacted', true, ['origin']);
    await traffic(store, 0, 8, { missing: true });
    const result = await look(7);
    expect(result.decision).toBe('healthy');
    const { drift, dataQuality } = await blobs.getJson<MonitorReport>(result.report);
    expect(drift.map(({ check, outcome }) => [check, outcome])).toEqual([
      ['drift:distance', 'pass'],
      ['drift:origin', 'inconclusive'],
    ]);
    expect(dataQuality.map(({ check }) => check)).not.toContain('missing:origin');
  });

  it('takes a smaller share of logged requests for no loss of traffic, and sees the decay behind it', async () => {
    const { look, store, blobs } = await setUp('share');
    await traffic(store, 0, 21, { count: 800 });
    for (const at of [7, 14, 21]) expect((await look(at)).decision).toBe('healthy');
    await traffic(store, 21, 36, { count: 800, logged: 16, score: 0.3 });
    await look(29);
    const result = await look(36);
    const { rows, labelled, dataQuality } = await blobs.getJson<MonitorReport>(result.report);
    expect([rows, labelled]).toEqual([5600, 350]);
    expect(dataQuality.slice(0, 2)).toMatchObject([
      { check: 'volume', outcome: 'pass' },
      { check: 'refused', outcome: 'pass', counts: { rows: 350, defects: 0 } },
    ]);
    expect(result.decision).toBe('retrain');
    expect(result.detail).toMatch(/^calibration: scores are \+0\.1000/);
  });

  it('weighs the days before and after another share by their requests', async () => {
    const { look, store, blobs } = await setUp('weights');
    await traffic(store, -1, 2, { score: 0.2, count: 1000 });
    await traffic(store, 2, 7, { score: 0.4, count: 1000, logged: 10 });
    const { calibration, labelled } = await blobs.getJson<MonitorReport>((await look(7)).report);
    // Three days exact and four 0.2 too high, as many requests each.
    expect(labelled).toBe(3 * 1000 + 4 * 100);
    expect(calibration.statistic.value).toBeCloseTo((4 * 0.2) / 7, 12);
    expect(calibration.outcome).toBe('fail');
  });

  it('does not measure a retired model: that nobody asks it is meant so', async () => {
    const { look, store, blobs, retire } = await setUp('retired');
    await traffic(store, 0, 28, {});
    for (const at of [7, 14, 21]) await look(at);
    retire();
    const result = await look(50);
    expect(result).toMatchObject({ decision: 'not-measurable', detail: 'the model is retired', retrainAsOf: null });
    expect(await blobs.getJson<MonitorReport>(result.report)).toMatchObject({ release: 1, rows: 0, dataQuality: [] });
  });

  it('cannot measure a model that nobody asked, or that nothing serves', async () => {
    const { look } = await setUp('silent');
    expect((await look(7)).decision).toBe('not-measurable');
    const { look: unserved } = await setUp('unserved', false);
    expect(await unserved(7)).toMatchObject({ decision: 'not-measurable', detail: 'nothing serves' });
  });
});

interface Traffic {
  readonly score?: number;
  readonly shift?: number;
  readonly missing?: boolean;
  readonly part?: string;
  /** Requests a day. */
  readonly count?: number;
  /** One in so many is logged. */
  readonly logged?: number;
}

/** A hundred requests a day if nothing else is said, one in five late; labels known after six hours. */
async function traffic(
  store: ReturnType<typeof createMemoryStore>,
  from: number,
  to: number,
  options: Traffic,
): Promise<void> {
  const { score = 0.2, shift = 0, missing = false, part = 'one', count = 100, logged = 1 } = options;
  const random = seededRandom(from + 1);
  for (let at = from; at < to; at += 1) {
    const rows = Array.from({ length: count / logged }, (_, row) => ({
      ...{ request_id: `${part}-${at}-${row}`, event_ms: start + at * day + row * 60_000, score, sample: 1 / logged },
      'x.distance': 500 + 100 * (normalFrom(random) + shift),
      'x.origin': missing ? null : row % 2 ? 'JFK' : 'SFO',
    }));
    await writePredictions(store, model, part, rows);
    const labels = rows.map((row, number) => ({
      ...{ requestId: row.request_id, label: number % 5 === 0 ? 1 : 0 },
      ...{ eventTimeMs: row.event_ms, knownAtMs: row.event_ms + day / 4 },
    }));
    await recordLabels(store, model, labels);
  }
}

async function setUp(name: string, serves = true, redact: readonly string[] = []) {
  const store = createMemoryStore();
  const blobs = createBlobStore(store, `${folder.path}/blobs`);
  const random = seededRandom(99);
  const profile: Profile = {
    schema: 'slipway.profile/1',
    rows: 5_000,
    features: {
      distance: profileNumbers(Array.from({ length: 5_000 }, () => 500 + 100 * normalFrom(random))),
      origin: profileCategories(Array.from({ length: 5_000 }, (_, row) => (row % 2 ? 'JFK' : 'SFO'))),
    },
    label: { mean: 0.2, sd: 0.4 },
    scores: null,
  };
  const spec = {
    clock: 'event',
    label: { maturityMs: day },
    monitor: {
      ...{ everyMs: day, windowMs: 7 * day },
      drift: { alpha: 0.01, minEffect: 0.1, consecutive: 2 },
      calibration: { alpha: 0.05, maxGap: 0.04, consecutive: 2 },
      retrain: { enabled: true, cooldownMs: 30 * day },
    },
  };
  const input = (column: string, type: string) => ({ name: column, type, range: null, values: null, nullable: true });
  const manifest = {
    spec: await blobs.putJson(spec),
    profile: await blobs.putJson(profile),
    serving: { ...DEFAULT_SERVING, log: { sample: 1, redact } },
    signature: { task: 'binary', inputs: [input('distance', 'number'), input('origin', 'category')] },
  } as unknown as ReleaseManifest;
  const release = { model, version: 1, digest: 'sha256:00' };
  const route = {
    route: { generation: 2, state: 'serving', arms: [{ name: 'champion', release, weight: 1 }] },
  } as unknown as StoredRoute;
  const activities = createLookActivities({
    ...{ store, blobs, now: () => 0 },
    releases: { manifest: async () => manifest },
    routes: { newest: async () => (serves ? route : null) },
    predictions: createPredictionReader(store, `${folder.path}/${name}`),
  });
  const retire = () => Object.assign(route.route, { state: 'retired' });
  const look = (atDay: number) =>
    activities.look({ model, asOf: new Date(start + atDay * day).toISOString(), look: `look-${atDay}` });
  return { store, blobs, look, retire, manifest };
}

import { recordLabels } from '../../../infra/labels/labels';
import { createPredictionReader } from '../../../infra/predictions/reader';
import { createMemoryStore } from '../../support/memory-store';
import { writePredictions } from '../../support/prediction-parts';
import { temporaryFolder } from '../../support/temporary-folder';

const model = 'flights/late-arrival';
const noon = Date.UTC(2001, 2, 1, 12);
const hour = 3_600_000;
const folder = temporaryFolder('mirror');
afterAll(() => folder.remove());

describe('labels and predictions in the store', () => {
  it('make one part of the same batch sent twice, and one for each event day', async () => {
    const store = createMemoryStore();
    const rows = [0, 30].map((hours) => ({
      requestId: `r"${hours}`,
      label: 1,
      eventTimeMs: noon + hours * hour,
      knownAtMs: noon + 40 * hour,
    }));
    expect(await recordLabels(store, model, rows)).toEqual({ rows: 2, parts: 2, newParts: 2 });
    expect(await recordLabels(store, model, [...rows].reverse())).toEqual({ rows: 2, parts: 2, newParts: 0 });
    expect((await store.list(`labels/${model}/`)).map((key) => key.split('/')[3])).toEqual([
      'dt=2001-03-01',
      'dt=2001-03-02',
    ]);
  });

  it('refuse a label that is no number', async () => {
    const row = { requestId: 'r', label: Number.NaN, eventTimeMs: noon, knownAtMs: noon };
    await expect(recordLabels(createMemoryStore(), model, [row])).rejects.toMatchObject({ code: 'DATA_LABEL' });
  });

  it('are joined once by request: newest label known in time, first answer, both arms the right way round', async () => {
    const store = createMemoryStore();
    const reader = createPredictionReader(store, `${folder.path}/a`);
    await writePredictions(store, model, 'one', [
      { request_id: 'a', event_ms: noon, score: 0.1, paired_score: 0.9, paired_release: 2 },
      {
        request_id: 'b',
        event_ms: noon,
        score: 0.8,
        arm: 'challenger',
        release: 2,
        paired_score: 0.2,
        paired_release: 1,
      },
      { request_id: 'unpaired', event_ms: noon, score: 0.5 },
      { request_id: 'foreign', event_ms: noon, score: 0.5, generation: 9, paired_score: 0.5, paired_release: 2 },
    ]);
    await writePredictions(store, model, 'two', [
      { request_id: 'a', event_ms: noon, score: 0.77, paired_score: 0.77, paired_release: 2, generation: 3 },
      { request_id: 'late', event_ms: noon, score: 0.3, paired_score: 0.4, paired_release: 2 },
      { request_id: 'failed', event_ms: noon, score: null, status: 'INFERENCE_FAILED' },
    ]);
    const label = (requestId: string, value: number, hours: number) => ({
      ...{ requestId, label: value, eventTimeMs: noon },
      knownAtMs: noon + hours * hour,
    });
    await recordLabels(store, model, [label('a', 0, 1), label('a', 1, 2), label('b', 0, 1), label('late', 1, 99)]);
    const rows = await reader.pairedRows({
      model,
      day: '2001-03-01',
      generations: [2, 3],
      challenger: 2,
      fromMs: noon - hour,
      asOfMs: noon + 24 * hour,
    });
    expect(rows.paired).toBe(3);
    expect([...rows.labels]).toEqual([1, 0]);
    expect([...rows.champion]).toEqual([0.1, 0.2]);
    expect([...rows.challenger]).toEqual([0.9, 0.8]);
  });

  it('give sums by day, statuses, and inputs of what reached a release', async () => {
    const store = createMemoryStore();
    const reader = createPredictionReader(store, `${folder.path}/b`);
    await writePredictions(store, model, 'one', [
      { request_id: 'a', event_ms: noon, score: 0.25, 'x.distance': 300, 'x.origin': 'JFK' },
      { request_id: 'b', event_ms: noon, score: 0.75, 'x.distance': null, 'x.origin': null },
      { request_id: 'c', event_ms: noon, score: null, status: 'INPUT_INVALID' },
    ]);
    await recordLabels(store, model, [{ requestId: 'a', label: 1, eventTimeMs: noon, knownAtMs: noon + hour }]);
    const window = { model, fromMs: noon - hour, toMs: noon + hour, release: 1, asOfMs: noon + 9 * hour };
    expect(await reader.dayScores(window)).toEqual([
      { day: '2001-03-01', rows: 2, labelled: 1, requests: 1, scoreSum: 0.25, labelSum: 1 },
    ]);
    expect(await reader.statuses({ ...window, release: null })).toEqual({ ok: 2, INPUT_INVALID: 1 });
    const columns = await reader.inputs(window, { distance: 'number', origin: 'category', absent: 'integer' });
    expect(columns).toEqual({
      distance: Float64Array.of(300, NaN),
      origin: ['JFK', null],
      absent: Float64Array.of(NaN, NaN),
    });
  });

  it('count a row for the requests that it stands for, and for one in parts that are older than the share', async () => {
    const store = createMemoryStore();
    const reader = createPredictionReader(store, `${folder.path}/shares`);
    const window = { model, fromMs: noon - hour, toMs: noon + hour, release: null, asOfMs: noon + 9 * hour };
    await writePredictions(store, model, 'old', [
      { request_id: 'old', event_ms: noon, score: 0.5, sample: undefined },
      { request_id: 'older', event_ms: noon, score: 0.5, sample: undefined },
    ]);
    expect(await reader.statuses(window)).toEqual({ ok: 2 });
    expect(await reader.evenRows(window)).toBe(2);
    await writePredictions(store, model, 'new', [
      { request_id: 'a', event_ms: noon, score: 0.1, sample: 0.25 },
      { request_id: 'b', event_ms: noon, score: null, status: 'INPUT_INVALID', sample: 0.25 },
    ]);
    expect(await reader.statuses(window)).toEqual({ ok: 6, INPUT_INVALID: 4 });
    // Ten requests in rows of 1, 1, 4 and 4: 100 / 34.
    expect(await reader.evenRows(window)).toBe(3);
    const label = { label: 1, eventTimeMs: noon, knownAtMs: noon + hour };
    await recordLabels(store, model, [
      { ...label, requestId: 'a' },
      { ...label, requestId: 'old' },
    ]);
    const [scores] = await reader.dayScores(window);
    expect(scores).toMatchObject({ rows: 3, labelled: 2, requests: 5, labelSum: 5 });
    expect(scores!.scoreSum).toBeCloseTo(0.9, 12);
  });

  it('read nothing where nothing is, and forget a part that was erased', async () => {
    const store = createMemoryStore();
    const reader = createPredictionReader(store, `${folder.path}/c`);
    const window = { model, fromMs: noon - hour, toMs: noon + hour, release: null, asOfMs: noon };
    expect(await reader.statuses(window)).toEqual({});
    expect(await reader.evenRows(window)).toBe(0);
    await writePredictions(store, model, 'one', [{ request_id: 'a', event_ms: noon, score: 0.5 }]);
    expect(await reader.statuses(window)).toEqual({ ok: 1 });
    await store.delete(`predictions/${model}/dt=2001-03-01/one.parquet`);
    expect(await reader.statuses(window)).toEqual({});
  });
});

import { findRequest } from '../../../infra/predictions/find-request';
import { createPredictionReader } from '../../../infra/predictions/reader';
import { createMemoryStore } from '../../support/memory-store';
import { writePredictions } from '../../support/prediction-parts';
import { temporaryFolder } from '../../support/temporary-folder';

const model = 'flights/late-arrival';
const noon = Date.UTC(2001, 2, 1, 12);
const folder = temporaryFolder('shadows');
afterAll(() => folder.remove());

describe('a request that a shadow scored too', () => {
  it('counts by what its caller was answered, whatever the shadow is called', async () => {
    const store = createMemoryStore();
    const answered = { request_id: 'a', event_ms: noon, score: 0.1, 'x.distance': 100, 'x.origin': 'SFO' };
    await writePredictions(store, model, 'one', [
      { ...answered, arm: 'bootstrap', release: 2, score: 0.9 },
      answered,
      { ...answered, request_id: 'b', arm: 'challenger', release: 3 },
      { ...answered, request_id: 'b', arm: 'candidate', release: 2 },
    ]);
    const reader = createPredictionReader(store, folder.path);
    const query = { model, fromMs: noon, toMs: noon + 1, asOfMs: noon + 1 };
    expect(await reader.statuses({ ...query, release: 1 })).toEqual({ ok: 1 });
    expect(await reader.statuses({ ...query, release: 3 })).toEqual({ ok: 1 });
    expect(await reader.statuses({ ...query, release: 2 })).toEqual({});
  });

  it('was answered by the arm of the route, which is found whatever else logged it in the same instant', async () => {
    const store = createMemoryStore();
    const answered = { request_id: 'a', event_ms: noon, score: 0.1 };
    const tested = { ...answered, arm: 'override', release: 3 };
    await writePredictions(store, model, 'one', [
      { ...answered, arm: 'bootstrap', release: 2 },
      answered,
      { ...answered, request_id: 'b', arm: 'candidate', release: 2, received_at: noon - 1 },
      { ...tested, request_id: 'b', received_at: noon - 1 },
      { ...answered, request_id: 'b', arm: 'challenger', release: 3 },
      { ...tested, request_id: 'asked' },
      { ...answered, request_id: 'unanswered', arm: 'candidate', release: 2 },
    ]);
    const find = async (id: string) =>
      (await findRequest(store, `${folder.path}/find`, model, id, null)).map(({ arm, release }) => [arm, release]);
    expect(await find('a')).toEqual([['champion', 1]]);
    expect(await find('b')).toEqual([['challenger', 3]]);
    expect(await find('asked')).toEqual([['override', 3]]);
    expect(await find('unanswered')).toEqual([]);
  });
});

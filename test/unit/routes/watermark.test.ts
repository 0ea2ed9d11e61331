import { readWatermark } from '../../../activities/routing/watermark';
import { keys } from '../../../workflows/domain/keys';
import { createMemoryStore } from '../../support/memory-store';

const MODEL = 'retail/demand';

describe('the event time that a commit is dated by', () => {
  it('never stops the commit: what is no instant is left out', async () => {
    const store = createMemoryStore();
    const put = (gateway: string, watermarkMs: unknown): Promise<void> =>
      store.put(keys.observation(MODEL, 3, gateway), Buffer.from(JSON.stringify({ watermarkMs })));
    await put('g-1', Date.parse('2001-03-01T00:00:00Z'));
    await put('g-2', Number.MAX_SAFE_INTEGER);
    await put('g-3', 'soon');
    expect(await readWatermark(store, MODEL, 3)).toBe('2001-03-01T00:00:00.000Z');
  });
});

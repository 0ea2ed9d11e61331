import { keys } from '../../../workflows/domain/keys';
import { mendRouteHint, readRouteIndex } from '../../../infra/routes/route-index';
import { createMemoryStore } from '../../support/memory-store';

describe('the hint of newest generations', () => {
  it('loses nothing but the entry that is no generation: gateways find the other models by it', async () => {
    const store = createMemoryStore();
    const generations = { 'a/good': 7, 'a/none': 0, 'a/huge': 1e300, 'a/far': 1e12, 'a/text': '3', '../a': 1 };
    await store.put(keys.routeIndex, Buffer.from(JSON.stringify({ generations })));
    expect((await readRouteIndex(store)).generations).toEqual({ 'a/good': 7 });
    await mendRouteHint(store, 'a/far', 4);
    expect((await readRouteIndex(store)).generations).toEqual({ 'a/good': 7, 'a/far': 4 });
  });
});

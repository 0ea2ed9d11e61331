import type { ObjectStore } from './port';

const PAGE = 1_000;

/** All keys below a prefix, ascending, whatever their number. */
export async function* listAll(store: Pick<ObjectStore, 'list'>, prefix: string): AsyncGenerator<string> {
  let page = await store.list(prefix, { limit: PAGE });
  for (;;) {
    yield* page;
    const last = page.at(-1);
    if (page.length < PAGE || last === undefined) return;
    page = await store.list(prefix, { after: last, limit: PAGE });
  }
}

import { SlipwayError } from '../../workflows/domain/errors';
import { compareKeys } from '../../infra/object-store/key-rules';
import type { ObjectStore } from '../../infra/object-store/port';

export type StoreOperation = 'get' | 'range' | 'list' | 'create' | 'put' | 'delete';

/** `unavailable`: refused before anything happened (503). `lost-reply`: done, and then the answer is lost. */
export type Fault = 'none' | 'unavailable' | 'lost-reply';

export interface MemoryStore extends ObjectStore {
  readonly objects: Map<string, Uint8Array>;
  /** Decides the fault of each operation, in order; default none. */
  fault: (operation: StoreOperation, key: string) => Fault;
  /** Operations so far, by name. */
  readonly counts: Record<StoreOperation, number>;
}

/** An object store in memory with the conditional semantics of the real ones, and faults on demand. Each call yields first. */
export function createMemoryStore(objects = new Map<string, Uint8Array>()): MemoryStore {
  const counts: Record<StoreOperation, number> = { get: 0, range: 0, list: 0, create: 0, put: 0, delete: 0 };
  const perform = async <T>(operation: StoreOperation, key: string, work: () => T): Promise<T> => {
    counts[operation] += 1;
    const fault = store.fault(operation, key);
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (fault === 'unavailable') throw new SlipwayError('STORE_UNAVAILABLE', `${operation} ${key}: 503`);
    const result = work();
    if (fault === 'lost-reply') throw new SlipwayError('STORE_UNAVAILABLE', `${operation} ${key}: the reply was lost`);
    return result;
  };
  const store: MemoryStore = {
    objects,
    counts,
    fault: () => 'none',
    get: (key) => perform('get', key, () => copy(objects.get(key))),
    range: (key, start, length) => perform('range', key, () => copy(objects.get(key)?.subarray(start, start + length))),
    list: (prefix, { after = '', limit = 1_000 } = {}) =>
      perform('list', prefix, () =>
        [...objects.keys()]
          .filter((key) => key.startsWith(prefix) && compareKeys(key, after) > 0)
          .sort(compareKeys)
          .slice(0, limit),
      ),
    create: (key, bytes) =>
      perform('create', key, () => {
        if (objects.has(key)) return false;
        objects.set(key, Uint8Array.from(bytes));
        return true;
      }),
    put: (key, bytes) => perform('put', key, () => void objects.set(key, Uint8Array.from(bytes))),
    delete: (key) => perform('delete', key, () => void objects.delete(key)),
  };
  return store;
}

function copy(bytes: Uint8Array | undefined): Uint8Array | null {
  return bytes ? Uint8Array.from(bytes) : null;
}

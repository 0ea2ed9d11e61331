import { once } from 'node:events';
import type { StoreConfig } from '../../infra/config/config';
import { openStore } from '../../infra/object-store/open-store';
import type { ObjectStore } from '../../infra/object-store/port';
import { SlipwayError } from '../../workflows/domain/errors';

/** Writers in one process that all try to create each key. */
export interface RaceTask {
  readonly kind: 'race';
  readonly name: string;
  readonly writers: number;
  readonly keys: readonly string[];
}

/** A process that writes: the tests run several at once, kill them, or run them under limits. */
export type WriterTask =
  | RaceTask
  | { readonly kind: 'endless'; readonly prefix: string; readonly bytes: number }
  | { readonly kind: 'put-once'; readonly key: string; readonly bytes: number };

/**
 * Says that it is ready for the next key and waits until it is let go, so that all processes meet at every key however busy the
 * machine is. Every writer then tries to create that key with its own name in it; gives `[key, writer]` of those it was told it won.
 */
async function race(store: ObjectStore, task: RaceTask): Promise<[string, string][]> {
  const wins: [string, string][] = [];
  for (const key of task.keys) {
    process.stdout.write('ready\n');
    await once(process.stdin, 'data');
    const attempts = Array.from({ length: task.writers }, async (_, index) => {
      const writer = `${task.name}-${index}`;
      if (await store.create(key, Buffer.from(writer))) wins.push([key, writer]);
    });
    await Promise.all(attempts);
  }
  process.stdin.destroy();
  return wins;
}

/** Creates and replaces objects that are one byte over and over, until somebody kills it. */
async function writeEndlessly(store: ObjectStore, task: Extract<WriterTask, { kind: 'endless' }>): Promise<void> {
  for (let round = 0; ; round += 1) {
    const body = Buffer.alloc(task.bytes, round % 251);
    await store.create(`${task.prefix}created-${process.pid}-${round % 20}`, body);
    await store.put(`${task.prefix}replaced`, body);
    if (round === 0) process.stdout.write('writing\n');
  }
}

async function putOnce(store: ObjectStore, task: Extract<WriterTask, { kind: 'put-once' }>): Promise<string> {
  try {
    await store.put(task.key, Buffer.alloc(task.bytes, 1));
    return 'written';
  } catch (error) {
    return error instanceof SlipwayError ? error.code : String(error);
  }
}

async function main(): Promise<void> {
  const [config, task] = process.argv.slice(2).map((text) => JSON.parse(text) as unknown) as [StoreConfig, WriterTask];
  const store = openStore(config);
  if (task.kind === 'endless') await writeEndlessly(store, task);
  else
    process.stdout.write(JSON.stringify(task.kind === 'race' ? await race(store, task) : await putOnce(store, task)));
}

if (require.main === module) void main();

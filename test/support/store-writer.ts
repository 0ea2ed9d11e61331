import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { StoreConfig } from '../../infra/config/config';
import { openStore } from '../../infra/object-store/open-store';
import type { ObjectStore } from '../../infra/object-store/port';
import { SlipwayError } from '../../workflows/domain/errors';

/** A process that writes: the tests run several at once, kill them, or run them under limits. */
export type WriterTask =
  | {
      readonly kind: 'race';
      readonly name: string;
      readonly writers: number;
      readonly keys: readonly string[];
    }
  | { readonly kind: 'endless'; readonly prefix: string; readonly bytes: number }
  | { readonly kind: 'put-once'; readonly key: string; readonly bytes: number };

/**
 * Says that it is ready and is told when to start; then takes one key each 15 ms by the clock, so that all processes meet at
 * every key however busy the machine is. Every writer tries to create every key with its own name in it; gives `[key, writer]` of those it was told it won.
 */
async function race(store: ObjectStore, task: Extract<WriterTask, { kind: 'race' }>): Promise<[string, string][]> {
  process.stdout.write('ready\n');
  const startAtMs = Number(String(((await once(process.stdin, 'data')) as [Buffer])[0]));
  process.stdin.destroy();
  const wins: [string, string][] = [];
  const write = async (writer: string): Promise<void> => {
    for (const [index, key] of task.keys.entries()) {
      await delay(Math.max(0, startAtMs + index * 15 - Date.now()));
      if (await store.create(key, Buffer.from(writer))) wins.push([key, writer]);
    }
  };
  await Promise.all(Array.from({ length: task.writers }, (_, index) => write(`${task.name}-${index}`)));
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

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { StoreConfig } from '../../infra/config/config';
import type { RaceTask, WriterTask } from './store-writer';

const entry = [process.execPath, '--require', require.resolve('tsx/cjs'), join(__dirname, 'store-writer.ts')];

export interface SpawnedWriter {
  readonly child: ChildProcessWithoutNullStreams;
  /** Everything it wrote, when it ended by itself; rejects with its errors where it wrote any and failed. */
  readonly output: Promise<string>;
}

/** Starts test/support/store-writer.ts; `setup` is shell text to run before it, such as a limit. */
export function spawnWriter(config: StoreConfig, task: WriterTask, setup = ':'): SpawnedWriter {
  const argv = ['-c', `${setup}; exec "$@"`, 'sh', ...entry, JSON.stringify(config), JSON.stringify(task)];
  const child = spawn('/bin/sh', argv, { env: process.env });
  let text = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const output = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`writer exited ${code}: ${errors}`))));
  });
  return { child, output };
}

/** Starts racing writers and lets them go together at each key, another one first each time; gives what each was told it won. */
export async function raceWriters(config: StoreConfig, tasks: readonly RaceTask[]): Promise<[string, string][]> {
  const writers = tasks.map((task) => spawnWriter(config, task));
  for (const first of tasks[0]!.keys.keys()) {
    await Promise.all(writers.map(({ child, output }) => Promise.race([once(child.stdout, 'data'), output])));
    for (const offset of writers.keys()) writers[(first + offset) % writers.length]!.child.stdin.write('go\n');
  }
  const outputs = await Promise.all(writers.map(({ output }) => output));
  return outputs.flatMap((text) => JSON.parse(text.replaceAll('ready\n', '')) as [string, string][]);
}

/** Starts an endless writer, lets it write for `forMs`, and SIGKILLs it. */
export async function writeAndKill(config: StoreConfig, task: WriterTask, forMs: number): Promise<void> {
  const { child, output } = spawnWriter(config, task);
  const killed = output.catch((error: Error) => {
    if (!error.message.startsWith('writer exited null')) throw error;
  });
  await Promise.race([once(child.stdout, 'data'), killed]);
  await new Promise((resolve) => setTimeout(resolve, forMs));
  child.kill('SIGKILL');
  await killed;
}

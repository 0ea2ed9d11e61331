import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../../infra/object-store/open-store';
import { nodeEntry } from '../../../infra/process/supervised-child';
import { keys } from '../../../workflows/domain/keys';
import type { TrainResult } from '../../../workflows/domain/run';
import { streamOf } from '../../../infra/onnx/random';
import { MLP } from '../../support/onnx/toy-data';
import { toyRun, toySpec, type ToyRun } from '../../support/onnx/toy-run';

const EPOCHS = 80;
const spec = toySpec({ trainer: { ...MLP, epochs: EPOCHS } });
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-killed-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function prepare(name: string): Promise<ToyRun & { at: string }> {
  const at = join(folder, name);
  const run = await toyRun(at, spec, { rows: 20_000, store: openStore({ kind: 'fs', root: join(at, 'store') }) });
  writeFileSync(join(at, 'run.json'), JSON.stringify({ request: run.request, ingest: run.ingest }));
  return { ...run, at };
}

/** Starts a worker's process, which never gets further than checkpoint `heldAt`; `result` is null where it was killed. */
function start(at: string, heldAt?: number): { kill: () => void; result: Promise<TrainResult | null> } {
  const entry = nodeEntry(join(__dirname, '../../support/onnx/train-in-process.ts'));
  const [program, ...rest] = [...entry, at, ...(heldAt === undefined ? [] : [String(heldAt)])];
  const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const result = new Promise<TrainResult | null>((resolve) =>
    child.once('close', () => resolve(output === '' ? null : (JSON.parse(output) as TrainResult))),
  );
  return { kill: () => child.kill('SIGKILL'), result };
}

/** Processes that work below a folder. */
function trainersOf(at: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return (
          readFileSync(`/proc/${name}/environ`, 'latin1').includes(`SLIPWAY_INPUT=${at}`) &&
          !readFileSync(`/proc/${name}/stat`, 'latin1').includes(') Z ')
        );
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function until(condition: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  for (const end = Date.now() + withinMs; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 10))) {
    if (await condition()) return true;
  }
  return false;
}

describe('a worker that is SIGKILLed in training', () => {
  it('I6: leaves no trainer behind, and the next one goes on from its checkpoint to the digest of an undisturbed run', async () => {
    const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 100_000);
    const epoch = 1 + Math.floor(streamOf(seed)() * (EPOCHS / 2));
    process.stdout.write(`killed after checkpoint ${epoch} (CHAOS_SEED=${seed})\n`);
    const calm = await prepare('calm');
    const undisturbed = await start(calm.at).result;
    const run = await prepare('killed');
    const checkpoints = () => run.store.list(keys.checkpoints(run.request.model, run.request.run));

    const worker = start(run.at, epoch + 1);
    expect(await until(async () => (await checkpoints()).length >= epoch, 60_000)).toBe(true);
    worker.kill();
    expect(await worker.result).toBeNull();
    expect(await until(() => trainersOf(run.at).length === 0, 30_000)).toBe(true);

    const before = (await checkpoints()).length;
    const startedMs = Date.now();
    const next = start(run.at);
    expect(await until(async () => (await checkpoints()).length > before, 60_000)).toBe(true);
    // 15 s on two free cores; how long a busy machine takes is no verdict on the code.
    process.stdout.write(`went on after ${Date.now() - startedMs} ms\n`);
    const result = await next.result;
    expect(readdirSync(join(run.at, 'work'))).toEqual([]);
    expect(result?.onnx).toBe(undisturbed!.onnx);
    expect(result?.resumedFromEpoch).toBeGreaterThanOrEqual(epoch);
  }, 240_000);
});

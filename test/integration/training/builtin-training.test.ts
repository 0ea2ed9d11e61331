import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { openSession } from '../../../infra/onnx/session';
import { scoreTable } from '../../../infra/onnx/score-table';
import { keys } from '../../../workflows/domain/keys';
import type { Signature } from '../../../workflows/domain/release';
import { measure } from '../../../workflows/domain/statistics/metrics';
import type { Task } from '../../../workflows/domain/spec';
import { createMemoryStore } from '../../support/memory-store';
import { LOGISTIC, MLP } from '../../support/onnx/toy-data';
import { toyRun, toySpec, type ToyRun } from '../../support/onnx/toy-run';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-training-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const activities = (run: ToyRun) =>
  createTrainingActivities({ store: run.store, blobs: run.blobs, workFolder: join(folder, 'work') });
const train = (run: ToyRun) => activities(run).train(run);

/** Kills the trainer of a work folder once a checkpoint is in the store; false when it was never seen. */
async function killOnce(run: ToyRun, afterCheckpoints: number): Promise<boolean> {
  for (const endMs = Date.now() + 50_000; Date.now() < endMs;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const kept = await run.store.list(keys.checkpoints(run.request.model, run.request.run));
    if (kept.length < afterCheckpoints) continue;
    const pid = pidOf(join(folder, 'work'));
    if (pid === null) continue;
    process.kill(pid, 'SIGKILL');
    return true;
  }
  return false;
}

/** The trainer is the process whose environment names a folder below ours. */
function pidOf(work: string): number | null {
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const mine = readFileSync(`/proc/${name}/environ`, 'utf8').includes(`SLIPWAY_INPUT=${work}`);
      if (mine && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('builtin-child')) return Number(name);
    } catch {
      continue;
    }
  }
  return null;
}

describe('built-in training', () => {
  it.each([
    ['binary', LOGISTIC, 'auc', 0.75],
    ['binary', MLP, 'auc', 0.75],
    ['regression', { ...MLP, epochs: 10 }, 'r2', 0.6],
  ] as const)(
    'makes a model of a snapshot that scores rows it has not seen (%s)',
    async (task: Task, trainer, metric, atLeast) => {
      const run = await toyRun(folder, toySpec({ trainer }, task));
      const result = await train(run);
      expect(result).toMatchObject({
        trainer: `slipway/${trainer.kind}@1`,
        epochs: trainer.epochs,
        resumedFromEpoch: 0,
      });
      const signature = await run.blobs.getJson<Signature>(result.signature);
      const scores = await scoreTable(
        await openSession(await run.blobs.get(result.onnx)),
        signature,
        run.holdout.table,
      );
      expect(measure(metric, scores, run.holdout.labels)).toBeGreaterThan(atLeast);
      expect(readdirSync(join(folder, 'work'))).toEqual([]);
    },
  );

  it('I8: the same snapshot, spec and seed give the same model digest in another store and process', async () => {
    const first = await train(await toyRun(join(folder, 'a'), toySpec({ trainer: MLP })));
    const second = await train(await toyRun(join(folder, 'b'), toySpec({ trainer: MLP })));
    const other = await train(await toyRun(join(folder, 'c'), toySpec({ trainer: MLP, seed: 8 })));
    expect(second.onnx).toBe(first.onnx);
    expect(other.onnx).not.toBe(first.onnx);
  });

  it('returns the kept result to a retry without training again, and to the next attempt that starts after it', async () => {
    const run = await toyRun(folder, toySpec());
    const first = await train(run);
    const retried = await activities({
      ...run,
      blobs: { ...run.blobs, file: () => Promise.reject(new Error('must not be read')) },
    }).train(run);
    expect(retried).toEqual(first);
    const next = {
      ...run.request,
      run: 'r-0123456789-2',
      attempt: 2,
      from: { run: run.request.run, step: 'evaluate' as const },
    };
    const taken = await activities({
      ...run,
      blobs: { ...run.blobs, file: () => Promise.reject(new Error('must not be read')) },
    }).train({ ...run, request: next });
    expect(taken).toEqual(first);
  });

  it('goes on from the last checkpoint when its process is SIGKILLed, to the digest of an undisturbed run', async () => {
    const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 100_000);
    const after = 1 + (seed % 20);
    process.stdout.write(`kill after ${after} checkpoints (CHAOS_SEED=${seed})\n`);
    const spec = toySpec({ trainer: { ...MLP, epochs: 100 } });
    const undisturbed = await train(await toyRun(join(folder, 'calm'), spec, { rows: 20_000 }));
    const run = await toyRun(join(folder, 'killed'), spec, { rows: 20_000 });
    const [result, killed] = await Promise.all([train(run), killOnce(run, after)]);
    expect(killed).toBe(true);
    expect(result.onnx).toBe(undisturbed.onnx);
    expect(result.resumedFromEpoch).toBeGreaterThanOrEqual(after);
  }, 240_000);

  it('goes on where a dead worker stopped, and does without a checkpoint that was damaged', async () => {
    const spec = toySpec({ trainer: { ...MLP, epochs: 8 } });
    const undisturbed = await train(await toyRun(join(folder, 'calm'), spec));
    const store = createMemoryStore();
    const run = await toyRun(join(folder, 'dead'), spec, { store });
    await train(run);
    const result = (await store.list(`runs/${run.request.model}/`)).find((key) => key.includes('/steps/train-'))!;
    await store.delete(result);
    const pointers = await store.list(keys.checkpoints(run.request.model, run.request.run));
    expect(pointers).toHaveLength(8);
    for (const key of pointers.slice(6)) await store.delete(key); // Died in epoch 7.
    const newest = JSON.parse(Buffer.from((await store.get(pointers[5]!))!).toString('utf8')) as {
      blob: `sha256:${string}`;
    };
    await store.put(keys.blob(newest.blob), Buffer.from('torn'));
    const again = await train(run);
    expect(again).toMatchObject({ onnx: undisturbed.onnx, resumedFromEpoch: 5, epochs: 8 });
  });

  it('trains on when the store loses its checkpoints', async () => {
    const store = createMemoryStore();
    const run = await toyRun(folder, toySpec(), { store });
    store.fault = (operation, key) =>
      operation === 'create' && key.includes('/checkpoints/') ? 'unavailable' : 'none';
    await expect(train(run)).resolves.toMatchObject({ epochs: LOGISTIC.epochs });
  });

  it('says what went wrong: divergence, memory, time', async () => {
    const diverging = await toyRun(folder, toySpec({ trainer: { ...MLP, learningRate: 1e30 } }));
    await expect(train(diverging)).rejects.toMatchObject({
      code: 'TRAINING_FAILED',
      message: expect.stringContaining('learningRate') as string,
    });
    await expect(train(await toyRun(folder, toySpec({ memoryMb: 60 })))).rejects.toMatchObject({
      code: 'TRAINING_LIMIT',
      message: expect.stringContaining('memory') as string,
    });
    await expect(train(await toyRun(folder, toySpec({ timeoutMs: 200 })))).rejects.toMatchObject({
      code: 'TRAINING_LIMIT',
      message: expect.stringContaining('time') as string,
    });
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTrainingActivities } from '../../activities/training/create-training-activities';
import { LOGISTIC, MLP } from '../support/onnx/toy-data';
import { toyRun, toySpec } from '../support/onnx/toy-run';

/** A tenth of two months of flights. On two idle cores it takes 2 and 3 seconds; the limits leave room for a machine that does other things. */
const ROWS = 97_000;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('training 97,000 rows', () => {
  it.each([
    ['logistic, 10 epochs', { ...LOGISTIC, epochs: 10, batchSize: 512 }, 30_000],
    [
      'mlp with 32 hidden and embeddings of 8, 6 epochs',
      { ...MLP, hidden: [32], embedding: 8, epochs: 6, batchSize: 256 },
      20_000,
    ],
  ])('takes seconds: %s', async (name, trainer, limitMs) => {
    const run = await toyRun(join(folder, trainer.kind), toySpec({ trainer }), { rows: ROWS });
    const startedMs = Date.now();
    await createTrainingActivities(run).train(run);
    const tookMs = Date.now() - startedMs;
    process.stdout.write(`${name}: ${tookMs} ms\n`);
    expect(tookMs).toBeLessThan(limitMs);
  });
});

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { keys } from '../../../workflows/domain/keys';
import { MLP } from '../../support/onnx/toy-data';
import { toyRun, toySpec } from '../../support/onnx/toy-run';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-activity-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('training in an activity', () => {
  it('heartbeats epoch and validation loss', async () => {
    const run = await toyRun(folder, toySpec());
    const environment = new MockActivityEnvironment();
    const beats: { epoch: number; validationLoss: number }[] = [];
    environment.on('heartbeat', (details: unknown) => {
      if (details) beats.push(details as { epoch: number; validationLoss: number });
    });
    await environment.run(createTrainingActivities(run).train, run);
    expect([...new Set(beats.map(({ epoch }) => epoch))]).toEqual([1, 2, 3, 4]);
    expect(beats.every(({ validationLoss }) => validationLoss > 0 && validationLoss < 1)).toBe(true);
  });

  it('ends its trainer when it is cancelled, and its next attempt goes on from the last checkpoint', async () => {
    const run = await toyRun(folder, toySpec({ trainer: { ...MLP, epochs: 100 } }), { rows: 20_000 });
    const activities = createTrainingActivities({ ...run, workFolder: join(folder, 'work') });
    const environment = new MockActivityEnvironment();
    const checkpoints = () => run.store.list(keys.checkpoints(run.request.model, run.request.run));
    environment.on('heartbeat', () => {
      void checkpoints().then((kept) => kept.length >= 2 && environment.cancel());
    });
    await expect(environment.run(activities.train, run)).rejects.toThrow(/cancel/i);
    expect(existsSync(join(folder, 'work')) ? readdirSync(join(folder, 'work')) : []).toEqual([]);
    const kept = await checkpoints();
    expect(kept.length).toBeGreaterThanOrEqual(2);
    const result = await activities.train(run);
    expect(result.resumedFromEpoch).toBeGreaterThanOrEqual(kept.length - 1);
    expect(result.epochs).toBe(100);
  }, 240_000);
});

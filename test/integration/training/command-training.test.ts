import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { fitModel } from '../../../infra/onnx/fit-model';
import { LOGISTIC, toyFit } from '../../support/onnx/toy-data';
import { toyRun, toySpec, type ToyRun } from '../../support/onnx/toy-run';

let folder: string;
let model: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-command-'));
  model = join(folder, 'ready.onnx');
  writeFileSync(model, (await fitModel(toyFit(LOGISTIC))).onnx);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A run whose trainer is this shell script in the spec's folder. */
async function runOf(script: string, training: object = {}): Promise<ToyRun> {
  writeFileSync(join(folder, 'train.sh'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'train.sh'), 0o755);
  return toyRun(folder, toySpec({ trainer: { kind: 'command', command: ['./train.sh'], folder }, ...training }));
}
const train = (run: ToyRun) => createTrainingActivities({ ...run, workFolder: join(folder, 'work') }).train(run);

describe('a command trainer', () => {
  it('finds its files and settings as the contract says, and leaves a model with metrics', async () => {
    const run = await runOf(`set -e
test -s "$SLIPWAY_INPUT/train.parquet" && test -s "$SLIPWAY_INPUT/validation.parquet"
grep -q '"task": "binary"' "$SLIPWAY_INPUT/spec.json" && grep -q '"amount"' "$SLIPWAY_INPUT/signature.json"
test "$SLIPWAY_SEED" = 7 && test "$SLIPWAY_MODEL" = shop/basket && test -n "$SLIPWAY_RUN" && test -d "$SLIPWAY_CHECKPOINTS"
cp ${model} "$SLIPWAY_OUTPUT/model.onnx"
echo '{"epochs": 12, "loss": 0.5}' > "$SLIPWAY_OUTPUT/metrics.json"`);
    await expect(train(run)).resolves.toMatchObject({ trainer: 'command ./train.sh', epochs: 12, resumedFromEpoch: 0 });
  });

  it('is given its newest checkpoint again when it was killed', async () => {
    const run = await runOf(`set -e
cd "$SLIPWAY_CHECKPOINTS"
if test -f second.bin; then test "$(cat second.bin)" = two; cp ${model} "$SLIPWAY_OUTPUT/model.onnx"; exit 0; fi
printf one > first.bin; echo '{"progress":{"epoch":1,"checkpoint":"first.bin"}}'
printf two > second.bin; echo '{"progress":{"epoch":2,"checkpoint":"second.bin"}}'
sleep 0.3; kill -9 $$`);
    await expect(train(run)).resolves.toMatchObject({ resumedFromEpoch: 2 });
  });

  it('that keeps being killed without getting further is given up', async () => {
    await expect(train(await runOf('kill -9 $$'))).rejects.toMatchObject({
      code: 'TRAINING_FAILED',
      message: expect.stringContaining('SIGKILL again and again') as string,
    });
  });

  it('that fails leaves its output in a blob that the message names, and none of it in the message', async () => {
    const run = await runOf('echo starting; echo "bad row of ana@example.org" >&2; exit 3');
    const error = await train(run).then(
      () => null,
      (failure: Error & { code: string }) => failure,
    );
    expect(error).toMatchObject({
      code: 'TRAINING_FAILED',
      message: expect.stringMatching(/exit code 3.*blob sha256:[0-9a-f]{64}/) as string,
    });
    expect(error!.message).not.toContain('ana@');
    const digest = /sha256:[0-9a-f]{64}/.exec(error!.message)![0] as `sha256:${string}`;
    expect(Buffer.from(await run.blobs.get(digest)).toString()).toBe('starting\nbad row of ana@example.org\n');
  });

  it('that prints rows as its progress gets numbers only into a heartbeat or a result (I10)', async () => {
    const run = await runOf(`echo '{"progress":{"epoch":"ada@example.org","validationLoss":"ada@example.org"}}'
cp ${model} "$SLIPWAY_OUTPUT/model.onnx"; echo '{"epochs": "ada@example.org"}' > "$SLIPWAY_OUTPUT/metrics.json"`);
    const heartbeats: unknown[] = [];
    const environment = new MockActivityEnvironment();
    environment.on('heartbeat', (details: unknown) => heartbeats.push(details));
    const result: unknown = await environment.run(() => train(run));
    expect(heartbeats).toContainEqual({ epoch: 0, validationLoss: null, lostCheckpoints: 0 });
    expect(JSON.stringify([heartbeats, result])).not.toContain('ada@');
  });

  it('that leaves no model, a broken one, or one of another signature, fails with what is wrong', async () => {
    await expect(train(await runOf('true'))).rejects.toMatchObject({
      code: 'TRAINING_FAILED',
      message: expect.stringContaining('no model.onnx') as string,
    });
    await expect(train(await runOf('echo rubbish > "$SLIPWAY_OUTPUT/model.onnx"'))).rejects.toMatchObject({
      code: 'MODEL_UNREADABLE',
    });
    const fit = toyFit(LOGISTIC);
    const fewer = { ...fit.signature, inputs: fit.signature.inputs.slice(0, 2) };
    writeFileSync(join(folder, 'other.onnx'), (await fitModel({ ...fit, signature: fewer })).onnx);
    await expect(
      train(await runOf(`cp ${join(folder, 'other.onnx')} "$SLIPWAY_OUTPUT/model.onnx"`)),
    ).rejects.toMatchObject({
      code: 'MODEL_SIGNATURE',
      message: expect.stringContaining('the graph lacks the input city') as string,
    });
  });

  it('that takes too long is ended with all it started', async () => {
    await expect(train(await runOf('sleep 30 & sleep 30', { timeoutMs: 300 }))).rejects.toMatchObject({
      code: 'TRAINING_LIMIT',
    });
  });
});

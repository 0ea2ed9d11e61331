import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEvaluationActivities } from '../../../activities/evaluation/create-evaluation-activities';
import type { EvaluationPorts } from '../../../activities/evaluation/create-evaluation-activities';
import { createIngestActivities } from '../../../activities/ingest/create-ingest-activities';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { inspectModel } from '../../../infra/onnx/inspect-model';
import type { BlobStore } from '../../../infra/object-store/port';
import { toFailure } from '../../../infra/temporal/activity-errors';
import type { TrainResult } from '../../../workflows/domain/run';
import { toyRun, toySpec, type ToyRun } from '../../support/onnx/toy-run';

const ROW = 'ada@example.org,42';
const execPath = process.execPath;
let folder: string;
let run: ToyRun;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-output-'));
  run = await toyRun(folder, toySpec());
  writeFileSync(join(folder, 'model.onnx'), 'a model');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  process.execPath = execPath;
});

/** Children of ours are run by a program that prints a row and ends as the script says. */
function endChildrenBy(script: string): void {
  const program = join(folder, 'node');
  writeFileSync(program, `#!/bin/sh\necho "Error: bad row ${ROW}" >&2\n${script}\n`);
  chmodSync(program, 0o755);
  process.execPath = program;
}

const training = {} as TrainResult;
const ports = () => ({ ...run, workFolder: join(folder, 'work') });
const evaluation = () =>
  createEvaluationActivities({
    ...ports(),
    reader: { newest: () => Promise.resolve(null) },
  } as unknown as EvaluationPorts);
const trained = async (): Promise<TrainResult> => ({
  ...training,
  onnx: await run.blobs.put(Buffer.from('a model')),
  signature: await run.blobs.putJson({ inputs: [], output: {} }),
});

const steps: readonly [string, () => Promise<unknown>][] = [
  ['ingest', () => createIngestActivities(ports()).ingest({ request: run.request })],
  ['train', () => createTrainingActivities(ports()).train(run)],
  ['evaluate', async () => evaluation().evaluate({ ...run, training: await trained() })],
];

describe.each(steps)('I10 what a child of %s wrote', (_, step) => {
  it.each([
    ['exit code 3', 'exit 3'],
    ['SIGKILL', 'kill -9 $$'],
  ])('is in a blob that the failure names, and not in the history, when it ends with %s', async (how, script) => {
    endChildrenBy(script);
    const failure = toFailure(
      await step().then(
        () => null,
        (error: unknown) => error,
      ),
    );
    expect(`${failure.message} ${failure.stack} ${String(failure.cause)}`).not.toContain('ada@');
    expect(failure.message).toContain(how);
    const digest = /sha256:[0-9a-f]{64}/.exec(failure.message)?.[0] as Parameters<BlobStore['get']>[0];
    expect(Buffer.from(await run.blobs.get(digest)).toString()).toContain(ROW);
  });
});

it('I10 what a child that opens a model wrote is in no message', async () => {
  endChildrenBy('exit 1');
  await expect(inspectModel(join(folder, 'model.onnx'))).rejects.toMatchObject({
    code: 'MODEL_UNREADABLE',
    message: 'the model cannot be used: opening it ended the process (exit 1)',
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { scoreTable } from '../../../infra/onnx/score-table';
import { openSession } from '../../../infra/onnx/session';
import type { Digest } from '../../../workflows/domain/digest';
import type { Signature } from '../../../workflows/domain/release';
import { measure } from '../../../workflows/domain/statistics/metrics';
import type { Task } from '../../../workflows/domain/spec';
import { toyTable } from '../../support/onnx/toy-data';
import { toyRun, toySpec } from '../../support/onnx/toy-run';
import { pythonEnvironment } from '../../support/python-environment';

const example = join(__dirname, '../../../client/examples/lightgbm');
let folder: string;
let python: string | null;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-lightgbm-'));
  python = pythonEnvironment(join(example, 'requirements.txt'));
}, 900_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the LightGBM example', () => {
  it.each([
    ['binary', 'auc', 0.74],
    ['regression', 'r2', 0.6],
  ] as const)(
    'trains by the file contract, twice to the same digest, and serves with missing values and unknown categories (%s)',
    async (task: Task, metric, atLeast) => {
      if (python === null) {
        process.stdout.write('skipped: there is no Python 3.11 or newer\n');
        return;
      }
      const spec = toySpec({ trainer: { kind: 'command', command: [python, 'train.py'], folder: example } }, task);
      const train = async (name: string) => {
        const run = await toyRun(join(folder, `${task}-${name}`), spec, { rows: 3_000 });
        const result = await createTrainingActivities(run)
          .train(run)
          .catch(async (error: Error) => {
            const output = /blob (sha256:[0-9a-f]+)/.exec(error.message)?.[1] as Digest | undefined;
            throw new Error(`${error.message}\n${output ? Buffer.from(await run.blobs.get(output)).toString() : ''}`);
          });
        return { run, result };
      };
      const { run, result } = await train('first');
      expect(result.epochs).toBeGreaterThan(10);
      expect((await train('second')).result.onnx).toBe(result.onnx);
      const signature = await run.blobs.getJson<Signature>(result.signature);
      const session = await openSession(await run.blobs.get(result.onnx));
      const scores = await scoreTable(session, signature, run.holdout.table);
      expect(measure(metric, scores, run.holdout.labels)).toBeGreaterThan(atLeast);
      const unknown = { rows: 1, columns: { ...toyTable(1, 5).table.columns, city: ['nowhere'] } };
      expect(Number.isFinite((await scoreTable(session, signature, unknown))[0])).toBe(true);
    },
    120_000,
  );
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { adaptModel } from '../../../infra/onnx/adapt-model';
import { inspectModel } from '../../../infra/onnx/inspect-model';
import { scoreRows, scoreTable } from '../../../infra/onnx/score-table';
import { openSession } from '../../../infra/onnx/session';
import type { Digest } from '../../../workflows/domain/digest';
import type { Signature } from '../../../workflows/domain/release';
import { signatureOf } from '../../../workflows/domain/signature';
import { measure } from '../../../workflows/domain/statistics/metrics';
import type { Task } from '../../../workflows/domain/spec';
import { feature, toyTable } from '../../support/onnx/toy-data';
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

describe('a LightGBM classifier as its own converter exports it', () => {
  it('is served by feature name and answers as Python does', async () => {
    if (python === null) return;
    const file = join(folder, 'lightgbm.onnx');
    const answers = JSON.parse(execFileSync(python, ['-c', EXPORT, file], { encoding: 'utf8' })) as number[];
    const signature = signatureOf({
      task: 'binary',
      features: ['age', 'income', 'visits'].map((name) => feature(name, 'number', { nullable: true })),
    });
    const model = await adaptModel(file, await inspectModel(file), signature, folder);
    const rows = answers.map((_, row) => ({ age: row, income: row * 10, visits: row % 2 === 0 ? row : null }));
    const scores = await scoreRows(await openSession(model.path), signature, rows);
    answers.forEach((answer, row) => expect(scores[row]).toBeCloseTo(answer, 5));
    expect(model.changes[0]).toBe('matrix given is made of age, income, visits, in this order');
  }, 60_000);
});

/** Trains on noise, exports to argv[1], prints P(label = 1) of 20 rows, half of them with a missing value. */
const EXPORT = `
import json, sys, lightgbm, numpy as np
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
random = np.random.default_rng(1)
x = (random.random((500, 3)) * [20, 200, 20]).astype(np.float32)
x[::7, 2] = np.nan
y = (x[:, 0] > 10).astype(int)
model = lightgbm.LGBMClassifier(n_estimators=20, verbosity=-1, n_jobs=1).fit(x, y)
exported = convert_lightgbm(model, initial_types=[('given', FloatTensorType([None, 3]))], zipmap=False, target_opset=15)
open(sys.argv[1], 'wb').write(exported.SerializeToString())
rows = np.array([[i, i * 10, i if i % 2 == 0 else np.nan] for i in range(20)], np.float32)
print(json.dumps(model.predict_proba(rows)[:, 1].tolist()))
`;

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

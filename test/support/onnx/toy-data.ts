import type { FitInput, LabelledTable } from '../../../infra/onnx/fit-model';
import { MISSING_INT64 } from '../../../infra/onnx/feature-table';
import { streamOf } from '../../../infra/onnx/random';
import type { BuiltinTrainer, FeatureSpec, Task } from '../../../workflows/domain/spec';
import { signatureOf } from '../../../workflows/domain/signature';

export function feature(name: string, type: FeatureSpec['type'], extra: Partial<FeatureSpec> = {}): FeatureSpec {
  return { name, type, unit: '', range: null, values: null, nullable: false, parts: [], onInvalid: 'reject', ...extra };
}

/** One feature of every type, some of them missing at times. */
export const TOY_FEATURES: readonly FeatureSpec[] = [
  feature('amount', 'number', { nullable: true }),
  feature('count', 'integer', { nullable: true }),
  feature('city', 'category', { nullable: true }),
  feature('member', 'boolean'),
  feature('at', 'timestamp', { parts: ['hour', 'dayOfWeek', 'month', 'minuteOfDay'], nullable: true }),
];

const CITIES = ['ams', 'bcn', 'cph', 'dub'];
const HOUR_MS = 3_600_000;

/** Rows whose label depends on the amount, the city and the hour; winter only, so that other months are unseen. */
export function toyTable(rows: number, seed: number, task: Task = 'binary'): LabelledTable {
  const random = streamOf(seed, 99);
  const amount = new Float32Array(rows);
  const count = new BigInt64Array(rows);
  const city: string[] = [];
  const member = new Uint8Array(rows);
  const at = new BigInt64Array(rows);
  const labels = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const hour = Math.floor(random() * 24 * 59);
    const index = Math.floor(random() * CITIES.length);
    amount[row] = random() < 0.1 ? Number.NaN : 100 + 20 * (random() - 0.5);
    count[row] = random() < 0.1 ? MISSING_INT64 : BigInt(Math.floor(random() * 1_000_000));
    city.push(random() < 0.05 ? '' : CITIES[index]!);
    member[row] = random() < 0.5 ? 1 : 0;
    at[row] = random() < 0.05 ? MISSING_INT64 : BigInt(Date.UTC(2001, 0, 1) + hour * HOUR_MS);
    const signal = ((amount[row]! || 100) - 100) / 5 + (index - 1.5) + Math.sin(((hour % 24) / 24) * 2 * Math.PI);
    labels[row] = task === 'regression' ? 500 + 50 * signal + random() : random() < 1 / (1 + Math.exp(-signal)) ? 1 : 0;
  }
  return { table: { rows, columns: { amount, count, city, member, at } }, labels };
}

export const MLP: BuiltinTrainer = {
  kind: 'mlp',
  hidden: [16, 8],
  embedding: 4,
  epochs: 4,
  batchSize: 64,
  learningRate: 0.01,
  l2: 0.001,
  checkpointEvery: 1,
  patience: 0,
};
export const LOGISTIC: BuiltinTrainer = { ...MLP, kind: 'logistic', hidden: [], learningRate: 0.05 };

export function toyFit(trainer: BuiltinTrainer, task: Task = 'binary', rows = 1_500): FitInput {
  return {
    signature: signatureOf({ task, features: TOY_FEATURES }),
    trainer,
    seed: 7,
    train: toyTable(rows, 1, task),
    validation: toyTable(500, 2, task),
    resume: null,
    onEpoch: () => undefined,
  };
}

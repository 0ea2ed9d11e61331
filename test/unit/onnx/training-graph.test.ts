import { Tensor } from 'onnxruntime-node';
import { initialParameters, parameterCount, segmentsOf, type NetworkShape } from '../../../infra/onnx/network';
import { streamOf } from '../../../infra/onnx/random';
import { openSession } from '../../../infra/onnx/session';
import { decayMask } from '../../../infra/onnx/network';
import { gradientGraph, trainingGraph } from '../../../infra/onnx/training-graph';

const ROWS = 12;
const shapes: readonly [string, NetworkShape][] = [
  ['a linear model for binary', { task: 'binary', dense: 3, idColumns: 2, tableRows: 7, hidden: [], embedding: 1 }],
  [
    'a linear model for regression',
    { task: 'regression', dense: 3, idColumns: 2, tableRows: 7, hidden: [], embedding: 1 },
  ],
  [
    'two hidden layers for binary',
    { task: 'binary', dense: 3, idColumns: 2, tableRows: 7, hidden: [5, 4], embedding: 3 },
  ],
  [
    'one hidden layer for regression',
    { task: 'regression', dense: 1, idColumns: 1, tableRows: 2, hidden: [6], embedding: 2 },
  ],
];

function batch(shape: NetworkShape): Record<'dense' | 'ids' | 'y', Tensor> {
  const random = streamOf(3);
  const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => 2 * random() - 1);
  const ids = BigInt64Array.from({ length: ROWS * shape.idColumns }, () =>
    BigInt(Math.floor(random() * shape.tableRows)),
  );
  const y = shape.task === 'binary' ? numbers(ROWS).map((value) => (value > 0 ? 1 : 0)) : numbers(ROWS);
  return {
    dense: new Tensor('float32', numbers(ROWS * shape.dense), [ROWS, shape.dense]),
    ids: new Tensor('int64', ids, [ROWS, shape.idColumns]),
    y: new Tensor('float32', y, [ROWS, 1]),
  };
}

const noisy = (shape: NetworkShape): Float32Array => {
  const random = streamOf(11);
  return initialParameters(shape, 0.2, random).map((value) => value + 0.4 * (random() - 0.5));
};

describe.each(shapes)('the training graph of %s', (_, shape) => {
  it('has the gradient that finite differences give, for every parameter', async () => {
    const session = await openSession(gradientGraph(shape));
    const inputs = batch(shape);
    const theta = noisy(shape);
    const at = (values: Float32Array) =>
      session.run({ theta: new Tensor('float32', values, [values.length]), ...inputs });
    const lossAt = async (index: number, by: number): Promise<number> => {
      const moved = theta.slice();
      moved[index]! += by;
      return Number((await at(moved))['loss']!.data[0]);
    };
    const gradient = (await at(theta))['gradient']!.data as Float32Array;
    const step = 4e-4; // Smaller drowns in FP32 rounding, larger steps over the kinks of Relu.
    for (let index = 0; index < theta.length; index += 1) {
      const numeric = ((await lossAt(index, step)) - (await lossAt(index, -step))) / (2 * step);
      expect(Math.abs(numeric - gradient[index]!)).toBeLessThan(1e-3);
    }
    expect(gradient.some((value) => Math.abs(value) > 0.01)).toBe(true);
  });

  it('takes the Adam steps of the textbook, with decay on weights only', async () => {
    const session = await openSession(trainingGraph(shape));
    const gradients = await openSession(gradientGraph(shape));
    const size = parameterCount(shape);
    const inputs = batch(shape);
    const theta = noisy(shape);
    const [rate, decay] = [0.01, 0.1];
    const vector = (values: Float32Array): Tensor => new Tensor('float32', values, [values.length]);
    const order = new Tensor(
      'int32',
      Int32Array.from({ length: 2 * ROWS }, (__, index) => index % ROWS),
      [2, ROWS],
    );
    const out = await session.run({
      theta: vector(theta),
      m: vector(new Float32Array(size)),
      v: vector(new Float32Array(size)),
      powers: vector(Float32Array.of(1, 1)),
      order,
      ...inputs,
      rate: new Tensor('float32', [rate], []),
      decay: new Tensor('float32', [decay], []),
      mask: vector(decayMask(shape)),
    });
    const expected = Float64Array.from(theta);
    const [m, v] = [new Float64Array(size), new Float64Array(size)];
    const mask = decayMask(shape);
    for (let t = 1; t <= 2; t += 1) {
      const g = (await gradients.run({ theta: vector(Float32Array.from(expected)), ...inputs }))['gradient']!
        .data as Float32Array;
      for (let i = 0; i < size; i += 1) {
        m[i] = 0.9 * m[i]! + 0.1 * g[i]!;
        v[i] = 0.999 * v[i]! + 0.001 * g[i]! ** 2;
        const direction = m[i]! / (1 - 0.9 ** t) / (Math.sqrt(v[i]! / (1 - 0.999 ** t)) + 1e-8);
        expected[i]! -= rate * (direction + decay * mask[i]! * expected[i]!);
      }
    }
    const actual = out['theta_out']!.data as Float32Array;
    // A gradient of exactly nothing but rounding has no direction; such parameters are left out.
    const settled = [...v.keys()].filter((i) => Math.sqrt(v[i]!) > 1e-6 || v[i] === 0);
    expect(settled.length).toBeGreaterThan(size / 2);
    for (const i of settled) expect(Math.abs(actual[i]! - expected[i]!)).toBeLessThan(2e-4);
    expect(
      segmentsOf(shape)
        .filter(({ decay: pulled }) => !pulled)
        .every(({ name }) => name.startsWith('bias')),
    ).toBe(true);
  });
});

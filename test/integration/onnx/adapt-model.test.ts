import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onnx } from 'onnx-proto';
import { adaptModel } from '../../../infra/onnx/adapt-model';
import {
  ELEMENT,
  type Element,
  GraphBuilder,
  doubleTensor,
  floatTensor,
  type Shape,
} from '../../../infra/onnx/graph-builder';
import { DEFAULT_MODEL_LIMITS, inspectModel } from '../../../infra/onnx/inspect-model';
import { scoreRows } from '../../../infra/onnx/score-table';
import { openSession } from '../../../infra/onnx/session';
import type { Signature } from '../../../workflows/domain/release';
import { signatureOf } from '../../../workflows/domain/signature';
import type { FeatureSpec } from '../../../workflows/domain/spec';
import { feature } from '../../support/onnx/toy-data';

const limits = { ...DEFAULT_MODEL_LIMITS, memoryMb: 700, timeoutMs: 50_000 };
const WEIGHTS = [0.5, -1, 2];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-adapt-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Export {
  readonly element?: Element;
  readonly shape?: Shape;
  /** Builds the outputs from P(label = 1), [N, 1]. */
  readonly outputs?: (builder: GraphBuilder, p: string) => void;
}

const labelAndProbabilities = (builder: GraphBuilder, p: string): void => {
  const other = builder.op('Sub', [builder.op('CastLike', [builder.floats([1], []), p]), p]);
  const element = 'float';
  builder.output(builder.op('Cast', [builder.op('Round', [p])], { to: ELEMENT.int64 }), 'int64', ['N', 1], 'label');
  builder.output(builder.op('Concat', [other, p], { axis: 1 }), element, ['N', 2], 'probabilities');
};

/** As a scikit-learn classifier is exported: one matrix, a label and two probabilities. Its values are called like features are. */
function classifier({ element = 'float', shape = ['N', 3], outputs = labelAndProbabilities }: Export = {}): Uint8Array {
  const builder = new GraphBuilder();
  builder.input('X', element, shape);
  const tensor = element === 'double' ? doubleTensor(WEIGHTS, [3, 1]) : floatTensor(Float32Array.from(WEIGHTS), [3, 1]);
  outputs(builder, builder.op('Sigmoid', [builder.op('MatMul', ['X', builder.constant(tensor)])]));
  return builder.modelBytes('classifier');
}

const numbers = (...names: string[]): FeatureSpec[] => names.map((name) => feature(name, 'number', { nullable: true }));
const signatureFor = (features: readonly FeatureSpec[]): Signature => signatureOf({ task: 'binary', features });

async function adapt(bytes: Uint8Array, signature: Signature) {
  const path = join(folder, 'given.onnx');
  writeFileSync(path, bytes);
  return adaptModel(path, await inspectModel(path, limits), signature, folder, limits);
}

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

describe('a model with one matrix of features', () => {
  it('is served by feature name, in the order that was given, whatever its own values are called', async () => {
    const signature = signatureFor(numbers('c0', 'v1', 'X'));
    const model = await adapt(classifier(), signature);
    const [score] = await scoreRows(await openSession(model.path), signature, [{ X: 1, v1: 2, c0: 4 }]);
    expect(score).toBeCloseTo(sigmoid(4 * 0.5 + 2 * -1 + 1 * 2), 6);
    expect(model.changes).toEqual([
      'matrix X is made of c0, v1, X, in this order',
      'the second column of output probabilities is the score, P(label = 1)',
    ]);
  });

  it('takes integers and booleans as numbers, and a missing integer as NaN', async () => {
    const signature = signatureFor([
      feature('count', 'integer', { nullable: true }),
      feature('member', 'boolean'),
      feature('amount', 'number'),
    ]);
    const session = await openSession((await adapt(classifier(), signature)).path);
    const scores = await scoreRows(session, signature, [
      { count: 3, member: true, amount: 0.25 },
      { count: null, member: false, amount: 1 },
    ]);
    expect(scores[0]).toBeCloseTo(sigmoid(3 * 0.5 - 1 + 0.25 * 2), 6);
    expect(scores[1]).toBeNaN();
  });

  it('of double precision answers in single', async () => {
    const signature = signatureFor(numbers('a', 'b', 'c'));
    const bytes = classifier({
      element: 'double',
      outputs: (builder, p) => builder.output(p, 'double', ['N', 1], 'y'),
    });
    const [score] = await scoreRows(await openSession((await adapt(bytes, signature)).path), signature, [
      { a: 1, b: 0.5, c: -1 },
    ]);
    expect(score).toBe(Math.fround(sigmoid(0.5 - 0.5 - 2)));
  });

  it('gives the same bytes each time, and says what they were made of', async () => {
    const signature = signatureFor(numbers('a', 'b', 'c'));
    const first = readFileSync((await adapt(classifier(), signature)).path);
    const second = readFileSync((await adapt(classifier(), signature)).path);
    expect(first.equals(second)).toBe(true);
    expect(onnx.ModelProto.decode(first).metadataProps).toMatchObject([
      { key: 'slipway.adaptedFrom', value: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string },
    ]);
  });

  it('keeps its branches, which use values from outside of them', async () => {
    const branch = (name: string, type: string): GraphBuilder => {
      const body = new GraphBuilder(`${name}_`);
      body.output(body.op(type, ['X']), 'float', ['N', 3], `${name}_out`);
      return body;
    };
    const builder = new GraphBuilder();
    builder.input('X', 'float', ['N', 3]);
    const large = builder.op('Greater', [builder.op('ReduceMax', ['X'], { keepdims: 0 }), builder.floats([1e9], [])]);
    const [chosen] = builder.ops('If', 1, [large], {
      then_branch: branch('then', 'Neg'),
      else_branch: branch('else', 'Identity'),
    });
    builder.output(builder.op('ReduceSum', [chosen!, builder.int64s([1])], { keepdims: 0 }), 'float', ['N'], 'sum');
    const signature = signatureFor(numbers('a', 'b', 'c'));
    const model = await adapt(builder.modelBytes('branches'), signature);
    const scores = await scoreRows(await openSession(model.path), signature, [{ a: 1, b: 2, c: 4 }]);
    expect([...scores]).toEqual([7]);
    expect(model.changes[1]).toBe('output sum, a vector, is the score');
  });

  it.each([
    ['another number of features', {}, numbers('a', 'b'), /there are 2 features \(a, b\); name the 3 .*--features/],
    [
      'a fixed number of rows',
      { shape: [2, 3] },
      numbers('a', 'b', 'c'),
      /always 2 rows at once; export it with a free/,
    ],
    [
      'a category',
      {},
      [...numbers('a', 'b'), feature('city', 'category')],
      /city \(category\) cannot be put into; export the encoding inside/,
    ],
    [
      'three classes',
      {
        outputs: (b: GraphBuilder, p: string) =>
          b.output(b.op('Concat', [p, p, p], { axis: 1 }), 'float', ['N', 3], 'ps'),
      },
      numbers('a', 'b', 'c'),
      /output ps has the shape \[2, 3\] for 2 rows; expected/,
    ],
    [
      'a label only',
      {
        outputs: (b: GraphBuilder, p: string) =>
          b.output(b.op('Cast', [p], { to: ELEMENT.int64 }), 'int64', ['N', 1], 'label'),
      },
      numbers('a', 'b', 'c'),
      /gives label \(INT64\) and no score; export it with its probabilities/,
    ],
    [
      'margins in two columns',
      {
        outputs: (b: GraphBuilder, p: string) =>
          b.output(b.op('Concat', [p, b.op('Neg', [p])], { axis: 1 }), 'float', ['N', 2], 'margins'),
      },
      numbers('a', 'b', 'c'),
      /two columns of output margins are no probabilities; export without raw scores/,
    ],
  ])('is refused for %s, with what to do', async (_, given, features, message) => {
    await expect(adapt(classifier(given), signatureFor(features))).rejects.toMatchObject({
      code: 'MODEL_SIGNATURE',
      message: expect.stringMatching(message) as string,
    });
  });

  it('is refused with ZipMap, naming the option that leaves it out', async () => {
    const model = onnx.ModelProto.decode(classifier());
    const map = { keyType: ELEMENT.int64, valueType: { tensorType: { elemType: ELEMENT.float } } };
    model.graph!.output![1]!.type = { sequenceType: { elemType: { mapType: map } } };
    await expect(
      adapt(onnx.ModelProto.encode(model).finish(), signatureFor(numbers('a', 'b', 'c'))),
    ).rejects.toMatchObject({
      code: 'MODEL_UNREADABLE',
      message: expect.stringMatching(/probabilities is not a tensor .*zipmap=False/) as string,
    });
  });
});

describe('a model with one input for each feature', () => {
  it('that fits is left as it is', async () => {
    const builder = new GraphBuilder();
    builder.input('a', 'float', ['N', 1]);
    builder.output(builder.op('Sigmoid', ['a']), 'float', ['N', 1], 'score');
    const model = await adapt(builder.modelBytes('fits'), signatureFor(numbers('a')));
    expect(model).toEqual({ path: join(folder, 'given.onnx'), changes: [] });
  });

  it('may take doubles and give a label beside its probabilities', async () => {
    const builder = new GraphBuilder();
    builder.input('a', 'double', ['N', 1]);
    builder.input('n', 'int32', ['N', 1]);
    const p = builder.op('Sigmoid', [
      builder.op('Add', [
        builder.op('Cast', ['a'], { to: ELEMENT.float }),
        builder.op('Cast', ['n'], { to: ELEMENT.float }),
      ]),
    ]);
    labelAndProbabilities(builder, p);
    const signature = signatureFor([...numbers('a'), feature('n', 'integer')]);
    const session = await openSession((await adapt(builder.modelBytes('mixed'), signature)).path);
    const [score] = await scoreRows(session, signature, [{ a: 0.5, n: -2 }]);
    expect(score).toBeCloseTo(sigmoid(-1.5), 6);
  });
});

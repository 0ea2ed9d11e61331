import fc from 'fast-check';
import { onnx } from 'onnx-proto';
import { Tensor } from 'onnxruntime-node';
import { GraphBuilder } from '../../../infra/onnx/graph-builder';
import { PACKED_INPUT, packInputs } from '../../../infra/onnx/pack-inputs';
import { openSession } from '../../../infra/onnx/session';

const ROWS = 3;

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `f${index}`);
}

/** score = Σ weight × float − whole, all in an order that shows in the last bit. */
function sumModel(weights: readonly number[]): Uint8Array {
  const graph = new GraphBuilder();
  const whole = graph.op('Cast', [graph.input('whole', 'int64', ['n', 1])], { to: 1 });
  const terms = weights.map((weight, index) =>
    graph.op('Mul', [graph.input(`f${index}`, 'float', ['n', 1]), graph.floats([weight], [1])]),
  );
  const sum = terms.reduce((total, term) => graph.op('Add', [total, term]));
  graph.output(graph.op('Sub', [sum, whole]), 'float', ['n', 1], 'score');
  return graph.modelBytes('sum');
}

function withOpset(bytes: Uint8Array, change: (model: onnx.ModelProto) => void): Uint8Array {
  const model = onnx.ModelProto.decode(bytes);
  change(model);
  return onnx.ModelProto.encode(model).finish();
}

async function scoresOf(bytes: Uint8Array, feeds: Record<string, Tensor>): Promise<Float32Array> {
  return (await (await openSession(bytes)).run(feeds))['score']!.data as Float32Array;
}

async function both(
  model: Uint8Array,
  names: readonly string[],
  values: Float32Array,
): Promise<[Float32Array, Float32Array]> {
  const whole = new Tensor('int64', BigInt64Array.from([1n, -2n, 3n]), [ROWS, 1]);
  const apart = names.map((name, at): [string, Tensor] => [
    name,
    new Tensor('float32', values.slice(at * ROWS, (at + 1) * ROWS), [ROWS, 1]),
  ]);
  const packed = packInputs(model, names)!;
  return [
    await scoresOf(model, { whole, ...Object.fromEntries(apart) }),
    await scoresOf(packed, { whole, [PACKED_INPUT]: new Tensor('float32', values, [values.length, 1]) }),
  ];
}

describe('a model with its float inputs as one', () => {
  it('answers with the same bits, whatever the weights and values', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.float({ noNaN: true, min: -100, max: 100 }), { minLength: 2, maxLength: 12 }),
        fc.infiniteStream(fc.float({ min: -1_000, max: 1_000 })),
        async (weights, stream) => {
          const values = Float32Array.from({ length: weights.length * ROWS }, () => stream.next().value as number);
          const [apart, packed] = await both(sumModel(weights), namesOf(weights.length), values);
          expect([...packed]).toEqual([...apart]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is made for operators of before and after version 18, which count their outputs', async () => {
    const values = Float32Array.from({ length: 4 * ROWS }, (_, at) => at / 3);
    for (const version of [13, 17, 18, 21]) {
      const model = withOpset(sumModel([1, 2, 3, 4]), ({ opsetImport }) => {
        for (const opset of opsetImport) if (!opset.domain) opset.version = version;
      });
      const [apart, packed] = await both(model, namesOf(4), values);
      expect([...packed]).toEqual([...apart]);
    }
  });

  it('keeps everything else of the file as it was', () => {
    const model = sumModel([1, 2, 3]);
    const before = onnx.ModelProto.decode(model);
    const after = onnx.ModelProto.decode(packInputs(model, ['f0', 'f2'])!);
    expect(after.graph!.node!.slice(1)).toEqual(before.graph!.node);
    expect(after.graph!.initializer).toEqual(before.graph!.initializer);
    expect(after.graph!.input!.map(({ name }) => name)).toEqual(['whole', 'f1', PACKED_INPUT]);
    expect(after.opsetImport).toEqual(before.opsetImport);
  });

  it('is not made where an input is not there, where the operators have no version, or of what is no model', () => {
    const model = sumModel([1, 2]);
    expect(packInputs(model, ['f0', 'other'])).toBeNull();
    expect(packInputs(model, ['f0', 'f0'])).toBeNull();
    const nameless = withOpset(model, (decoded) => (decoded.opsetImport = []));
    expect(packInputs(nameless, ['f0', 'f1'])).toBeNull();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(model.length), (noise, at) => {
        expect(packInputs(noise, ['f0', 'f1'])).toBeNull();
        // Cut off, it is no whole message, or lacks what comes last.
        const cut = packInputs(model.subarray(0, at), ['f0', 'f1']);
        expect(cut === null || at === model.length).toBe(true);
      }),
    );
  });
});

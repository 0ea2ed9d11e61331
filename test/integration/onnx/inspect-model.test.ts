import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onnx } from 'onnx-proto';
import { fitModel } from '../../../infra/onnx/fit-model';
import { ELEMENT, GraphBuilder } from '../../../infra/onnx/graph-builder';
import { checkSignature, inspectModel, DEFAULT_MODEL_LIMITS } from '../../../infra/onnx/inspect-model';
import { streamOf } from '../../../infra/onnx/random';
import { endlessModel, tediousModel } from '../../support/onnx/hostile-models';
import { LOGISTIC, toyFit } from '../../support/onnx/toy-data';

const limits = { ...DEFAULT_MODEL_LIMITS, memoryMb: 700, timeoutMs: 50_000 };
const signature = toyFit(LOGISTIC).signature;
let folder: string;
let model: Uint8Array;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-model-'));
  model = (await fitModel(toyFit(LOGISTIC))).onnx;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(bytes: Uint8Array, name = 'model.onnx'): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** 89 bytes that ask for 6.4 GB: a tensor of ones whose size is a constant. */
function giant(): Uint8Array {
  const builder = new GraphBuilder();
  builder.input('x', 'float', ['N', 1]);
  const huge = builder.op('ConstantOfShape', [builder.int64s([40_000, 40_000])]);
  builder.output(builder.op('Add', [huge, 'x']), 'float', ['N', 'M'], 'score');
  return builder.modelBytes('giant');
}

describe('a model from outside', () => {
  it('is described, and fits the signature it was made for', async () => {
    const inspection = await inspectModel(file(model), limits);
    expect(inspection.inputs.map(({ name, datatype }) => [name, datatype])).toEqual(
      signature.inputs.map(({ name, datatype }) => [name, datatype]),
    );
    expect(inspection.probeShapes).toEqual({ score: [2, 1] });
    expect(() => checkSignature(inspection, signature)).not.toThrow();
  });

  it('is refused with every difference when it does not fit its signature', async () => {
    const inspection = await inspectModel(file(model), limits);
    const [first, second, ...rest] = signature.inputs;
    const other = {
      ...signature,
      inputs: [{ ...first!, datatype: 'INT64' as const }, { ...second!, name: 'number' }, ...rest],
      output: { name: 'p', datatype: 'FP32' as const },
    };
    expect(() => checkSignature(inspection, other)).toThrow(
      'the graph takes count, which the signature lacks; input amount is FP32, the signature says INT64; the graph lacks the input number; the graph gives score, which the signature lacks; the graph lacks the output p',
    );
  });

  it('is refused when its output ignores the rows', async () => {
    const builder = new GraphBuilder();
    builder.input('x', 'float', ['N', 1]);
    builder.output(builder.op('ReduceMean', ['x'], { axes: [0], keepdims: 1 }), 'float', [1, 1], 'score');
    const inspection = await inspectModel(file(builder.modelBytes('mean')), limits);
    const single = { ...signature, inputs: [{ ...signature.inputs[0]!, name: 'x' }] };
    expect(() => checkSignature(inspection, single)).toThrow(/output score has the shape \[1, 1\] for 2 rows/);
  });

  it('may not keep data outside its file, in the graph or in a subgraph', async () => {
    const external = {
      name: 'w',
      dims: [1],
      dataType: ELEMENT.float,
      dataLocation: 1,
      externalData: [{ key: 'location', value: '../../../etc/passwd' }],
    };
    const decoded = onnx.ModelProto.decode(model);
    decoded.graph!.initializer!.push(onnx.TensorProto.create(external));
    await expect(inspectModel(file(onnx.ModelProto.encode(decoded).finish()), limits)).rejects.toMatchObject({
      code: 'MODEL_UNREADABLE',
      message: expect.stringContaining('outside the file') as string,
    });
    const nested = onnx.ModelProto.decode(model);
    nested.graph!.node![0]!.attribute = [
      onnx.AttributeProto.create({ name: 'body', type: 5, g: { node: [], initializer: [external] } }),
    ];
    await expect(inspectModel(file(onnx.ModelProto.encode(nested).finish()), limits)).rejects.toMatchObject({
      message: expect.stringContaining('outside the file') as string,
    });
  });

  it('takes only its own process down when it asks for 6.4 GB', async () => {
    const bytes = giant();
    expect(bytes.length).toBeLessThan(250);
    await expect(inspectModel(file(bytes), limits)).rejects.toMatchObject({ code: 'MODEL_UNREADABLE' });
    expect(process.memoryUsage().rss).toBeLessThan(2e9);
  });

  it('may not declare an output of gigabytes', async () => {
    const builder = new GraphBuilder();
    builder.input('x', 'float', ['N', 1]);
    builder.output(
      builder.op('Expand', ['x', builder.int64s([1, 2_000_000_000])]),
      'float',
      ['N', 2_000_000_000],
      'score',
    );
    await expect(inspectModel(file(builder.modelBytes('wide')), limits)).rejects.toMatchObject({
      message: expect.stringContaining('2000000000 values') as string,
    });
  });

  it('is refused when it does not end', async () => {
    const path = file(tediousModel('x'));
    await expect(inspectModel(path, { ...limits, timeoutMs: 2_500 })).rejects.toMatchObject({
      message: expect.stringContaining('time limit') as string,
    });
  });

  it('may not use an operator that need not end, that gives other answers each time, or that nobody knows, at any depth', async () => {
    const refusal = async (bytes: Uint8Array): Promise<unknown> =>
      inspectModel(file(bytes), limits).then(
        () => 'opened',
        (error: Error) => /the operator (\S+),/.exec(error.message)?.[1],
      );
    const using = (change: (nodes: onnx.INodeProto[], model: onnx.ModelProto) => void): Uint8Array => {
      const decoded = onnx.ModelProto.decode(model);
      change(decoded.graph!.node!, decoded);
      return onnx.ModelProto.encode(decoded).finish();
    };
    const random = onnx.NodeProto.create({ opType: 'RandomNormalLike', input: ['x'], output: ['y'] });
    const body = { name: 'then_branch', type: 5, g: { node: [random], output: [] } };
    expect(await refusal(endlessModel('x'))).toBe('ai.onnx.Loop');
    expect(await refusal(using((nodes) => nodes.push(random)))).toBe('ai.onnx.RandomNormalLike');
    expect(
      await refusal(using((nodes) => nodes.push(onnx.NodeProto.create({ opType: 'If', attribute: [body] })))),
    ).toBe('ai.onnx.RandomNormalLike');
    expect(await refusal(using((nodes) => nodes.push(onnx.NodeProto.create({ domain: 'acme', opType: 'Relu' }))))).toBe(
      'acme.Relu',
    );
    const hidden = { domain: 'acme', name: 'Noise', node: [random] };
    expect(
      await refusal(
        using((nodes, decoded) => {
          decoded.functions = [onnx.FunctionProto.create(hidden)];
          nodes.push(onnx.NodeProto.create({ domain: 'acme', opType: 'Noise' }));
        }),
      ),
    ).toBe('ai.onnx.RandomNormalLike');
    // A function that is called like an operator of the runtime vouches for nothing.
    for (const [domain, name] of [
      ['ai', 'onnx.RandomNormalLike'],
      ['', 'RandomNormalLike'],
      ['ai.onnx', 'RandomNormalLike'],
    ]) {
      const claimed = { domain: domain!, name: name!, node: [onnx.NodeProto.create({ opType: 'Identity' })] };
      const bytes = using((nodes, decoded) => {
        decoded.functions = [onnx.FunctionProto.create(claimed)];
        nodes.push(random);
      });
      expect(await refusal(bytes)).toBe('ai.onnx.RandomNormalLike');
    }
    const training = { name: 'training_mode', type: 2, i: 1 };
    for (const node of [
      { opType: 'Dropout', input: ['x', 'ratio', 'training'] },
      { opType: 'BatchNormalization', attribute: [training] },
    ])
      expect(await refusal(using((nodes) => nodes.push(onnx.NodeProto.create(node))))).toBe(`ai.onnx.${node.opType}`);
  });

  it('is refused when it is missing, empty, too large, truncated, or no model at all', async () => {
    const cases: [string, Uint8Array][] = [
      ['empty.onnx', new Uint8Array()],
      ['half.onnx', model.slice(0, model.length >> 1)],
      ['text.onnx', Buffer.from('this is no model')],
      ['zeros.onnx', new Uint8Array(1_000)],
    ];
    for (const [name, bytes] of cases)
      await expect(inspectModel(file(bytes, name), limits)).rejects.toMatchObject({ code: 'MODEL_UNREADABLE' });
    await expect(inspectModel(join(folder, 'absent.onnx'), limits)).rejects.toMatchObject({ code: 'MODEL_UNREADABLE' });
    await expect(inspectModel(file(model), { ...limits, bytes: 100 })).rejects.toMatchObject({
      message: expect.stringContaining('the limit is 100') as string,
    });
  });

  it('with a flipped byte is either refused or still a model; this process never notices', async () => {
    const random = streamOf(20);
    for (let flip = 0; flip < 6; flip += 1) {
      const bytes = Uint8Array.from(model);
      bytes[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8);
      const result = await inspectModel(file(bytes), limits).then(
        () => 'opened',
        (error: { code: string }) => error.code,
      );
      expect(['opened', 'MODEL_UNREADABLE']).toContain(result);
    }
  });
});

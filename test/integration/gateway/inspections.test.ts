import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GraphBuilder } from '../../../infra/onnx/graph-builder';
import { DEFAULT_MODEL_LIMITS } from '../../../infra/onnx/inspect-model';
import { digestOf } from '../../../infra/object-store/digest';
import { cacheFolder } from '../../../workers/gateway/identity';
import { Inspections } from '../../../workers/gateway/routes/inspections';
import type { GatewayHeartbeat } from '../../../workflows/domain/gateway';
import { keys } from '../../../workflows/domain/keys';
import type { Signature } from '../../../workflows/domain/release';
import { tediousModel } from '../../support/onnx/hostile-models';
import { GatewayFixture, inferBody, MODEL, post, ready, until } from './fixture';
import { DISTANCE, inputSignature, linearModel, signatureWith } from './models';

const modelLimits = { ...DEFAULT_MODEL_LIMITS, memoryMb: 700, timeoutMs: 8_000 };

/** Asks for 6.4 GB when it is opened. */
function giant(): { onnx: Uint8Array; signature: Signature } {
  const graph = new GraphBuilder();
  graph.input('distance', 'float', ['n', 1]);
  const huge = graph.op('ConstantOfShape', [graph.int64s([40_000, 40_000])]);
  const none = graph.op('Mul', [graph.op('ReduceMean', [huge], { keepdims: 0 }), graph.floats([0], [1])]);
  graph.output(graph.op('Add', ['distance', none]), 'float', ['n', 1], 'score');
  return { onnx: graph.modelBytes('giant'), signature: signatureWith([DISTANCE]) };
}

/** Whoever opens it is busy until somebody ends that. */
function tedious(): { onnx: Uint8Array; signature: Signature } {
  return { onnx: tediousModel('distance'), signature: signatureWith([DISTANCE]) };
}

describe('a gateway that is given a hostile model with a good signature', () => {
  let fixture: GatewayFixture;
  beforeEach(() => (fixture = new GatewayFixture()));
  afterEach(() => fixture.dispose());

  async function problem(): Promise<GatewayHeartbeat['models'][string]['problem'] | undefined> {
    const bytes = await fixture.store.get(keys.gateway('gateway-1'));
    return bytes && (JSON.parse(Buffer.from(bytes).toString()) as GatewayHeartbeat).models[MODEL]?.problem;
  }

  it('never opens it itself: a child is ended instead, the route before serves on, and the heartbeat says why', async () => {
    const good = await fixture.release(linearModel(1, 1));
    await fixture.route(good);
    const gateway = await fixture.start({ modelLimits });
    await ready(gateway);
    await fixture.route(good, { release: await fixture.release(giant()), weight: 0.5 });
    await until(async () => (await problem())?.code === 'MODEL_UNREADABLE', 'the problem is told', 20_000);
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(gateway.url, inferBody([1]))));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.parameters.generation}`))).toEqual(
      new Set(['200 1']),
    );
    expect(process.memoryUsage().rss).toBeLessThan(2e9);
  });

  it('takes a rollback while the model is still being looked at', async () => {
    const good = await fixture.release(linearModel(1, 1));
    await fixture.route(good);
    const gateway = await fixture.start({ modelLimits });
    await ready(gateway);
    await fixture.route(good, { release: await fixture.release(tedious()), weight: 0.5 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const rollback = await fixture.route(good);
    const generation = async (): Promise<number> =>
      (await post(gateway.url, inferBody([1]))).body.parameters.generation;
    await until(async () => (await generation()) === rollback, 'the rollback serves', 2_000);
  });

  it('does not serve a model that is not what its signature says', async () => {
    const { onnx } = linearModel(1, 1);
    const claimed = signatureWith([DISTANCE, inputSignature('hour')]);
    await fixture.route(await fixture.release({ onnx, signature: claimed }));
    const gateway = await fixture.start();
    const body = inferBody([1]);
    const told = 'MODEL_SIGNATURE: the graph lacks the input hour';
    await until(async () => (await post(gateway.url, body)).body.error?.includes(told) ?? false, 'the reason is told');
  });

  it('looks at a model once: a restart finds the note of it', async () => {
    await fixture.route(await fixture.release(linearModel(1, 1)));
    const notes = (): string[] => readdirSync(join(cacheFolder(fixture.options().config), 'inspected'));
    const first = await fixture.start();
    await ready(first);
    const found = notes();
    expect(found).toHaveLength(1);
    await fixture.stop(first);
    // Limits under which nothing can be opened: whatever is served was not looked at again.
    const second = await fixture.start({ modelLimits: { ...modelLimits, bytes: 1 } });
    await ready(second);
    expect((await post(second.url, inferBody([1]))).body.outputs[0]!.data).toEqual([2]);
    expect(notes()).toEqual(found);
  });
});

describe('an inspection', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'slipway-inspections-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('of a refused file is not repeated at every poll, but after a minute', async () => {
    const { onnx, signature } = linearModel(1, 1);
    const path = join(folder, 'model.onnx');
    let nowMs = 0;
    const inspections = new Inspections({
      folder: join(folder, 'notes'),
      nowMs: () => nowMs,
      onProblem: (error) => {
        throw error;
      },
    });
    const check = (): Promise<string> =>
      inspections.check(path, digestOf(onnx), signature).then(
        () => 'good',
        (error: { code: string }) => error.code,
      );
    writeFileSync(path, 'no model');
    expect(await check()).toBe('MODEL_UNREADABLE');
    writeFileSync(path, onnx);
    nowMs = 59_000;
    expect(await check()).toBe('MODEL_UNREADABLE');
    nowMs = 61_000;
    expect(await check()).toBe('good');
    rmSync(path);
    expect(await check()).toBe('good');
  });
});

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keys } from '../../../workflows/domain/keys';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import { type LocalModel, serveLocalModel } from '../../../workers/gateway/local-model';
import { bindTo, tensorflowLike } from '../../support/model-server';
import { askMany, endpointModel, EndpointScene, hang, health, metric, SAMPLES, TF } from './endpoint-scene';
import { inferBody, MODEL, post, ready, until } from './fixture';
import { inputSignature, linearModel } from './models';

let scene: EndpointScene;
beforeEach(async () => (scene = await new EndpointScene().begin()));
afterEach(() => scene.dispose());

describe('a server as the challenger', () => {
  it('gives callers the champion, without one failed request, when it dies under load', async () => {
    const gateway = await scene.canary();
    const arms = new Set<string>();
    for (let sent = 0; sent < 400; sent += 20) {
      if (sent === 200) await scene.server.stop();
      for (const [at, { status, body }] of (await askMany(gateway, 20)).entries()) {
        expect(status).toBe(200);
        const bias = body.parameters.arm === 'challenger' ? 0.5 : 0;
        expect(body.outputs[0]!.data).toEqual([at * 2 + bias]);
        arms.add(body.parameters.arm);
      }
    }
    expect([...arms].sort()).toEqual(['challenger', 'champion']);
    const event = await scene.breakerEvent(gateway);
    expect(event.kind).toBeUndefined();
    expect(event.errors).toBeGreaterThanOrEqual(8);
  });

  it("leaves half of a caller's time to the champion when it hangs", async () => {
    const gateway = await scene.canary({}, 1);
    scene.server.react = hang;
    const answers = await askMany(gateway, 16, { parameters: { timeout: 1_200_000 } });
    expect(answers.map(({ status, body }) => [status, body.parameters.arm])).toEqual(
      answers.map(() => [200, 'champion']),
    );
    await scene.breakerEvent(gateway);
  });

  it('is not charged for callers who leave it less time than its release allows', async () => {
    const gateway = await scene.canary({}, 1);
    scene.server.react = async (call, response) => {
      await new Promise((resolve) => setTimeout(resolve, 150));
      void tensorflowLike(2, 0.5)(call, response);
    };
    const hasty = await askMany(gateway, 16, { parameters: { timeout: 200_000 } });
    expect(hasty.map(({ status, body }) => [status, body.parameters.arm])).toEqual(hasty.map(() => [200, 'champion']));
    const page = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(page).toMatch(/endpoint_requests_total\{[^}]*outcome="hasty"[^}]*\} 16/);
    // Sixteen errors would have tripped its breaker.
    const patient = await askMany(gateway, 4);
    expect(patient.map(({ body }) => body.parameters.arm)).toEqual(patient.map(() => 'challenger'));
    const { incarnation } = gateway;
    await scene.stop(gateway);
    const bytes = await scene.store.get(keys.observation(MODEL, 1, incarnation));
    const { arms } = JSON.parse(Buffer.from(bytes!).toString()) as ObservationDocument;
    expect([arms.champion?.requests ?? 0, arms.challenger?.requests, arms.challenger?.errors]).toEqual([0, 4, 0]);
  });

  it('is taken out with its own reason when its answers change, and nobody is refused', async () => {
    const gateway = await scene.canary();
    scene.server.react = tensorflowLike(2, 0.75);
    const event = await scene.breakerEvent(gateway);
    expect(event).toMatchObject({ kind: 'changed', generation: 1 });
    expect(event.reason).toBe(
      "the endpoint risk-tf does not answer as it was approved: its answers to the release's samples differ by up to 0.1 (tolerance 0.0001)",
    );
    const answers = await askMany(gateway, 16);
    expect(answers.every(({ status, body }) => status === 200 && body.parameters.arm === 'champion')).toBe(true);
  });

  it('is left out from the beginning where it already answers otherwise', async () => {
    scene.server.react = tensorflowLike(3, 0);
    const gateway = await scene.canary();
    const answers = await askMany(gateway, 16);
    expect(answers.every(({ status, body }) => status === 200 && body.parameters.arm === 'champion')).toBe(true);
    await until(async () => (await scene.problem()) === 'ENDPOINT_CHANGED', 'the heartbeat says why');
  });

  it('scores pairs only while slots are free, and says what they are for', async () => {
    const gateway = await scene.canary({ paired: true });
    await askMany(gateway, 24);
    await scene.stop(gateway);
    expect(scene.server.countOf('pair')).toBeGreaterThanOrEqual(1);
    expect(scene.server.countOf('pair') + scene.server.countOf('serve')).toBeLessThanOrEqual(24);
  });

  it('scores a shadow off the path of callers, who do not hear of its failures', async () => {
    const file = await scene.release(linearModel(2, 0));
    const release = await scene.release(endpointModel(TF), SAMPLES);
    await scene.route(file, null, { shadows: [{ name: 'candidate', sample: 1, release }] });
    const gateway = await scene.start({ endpoints: scene.bound() });
    await ready(gateway);
    expect((await post(gateway.url, inferBody([1]))).body.outputs[0]!.data).toEqual([2]);
    await until(() => scene.server.countOf('shadow') === 1, 'the shadow is asked');
    scene.server.react = hang;
    expect((await askMany(gateway, 8)).every(({ status }) => status === 200)).toBe(true);
    await until(
      async () => (await (await fetch(`${gateway.url}/metrics`)).text()).includes('kind="shadow",outcome="failed"'),
      'its failures are counted',
    );
  });

  it('does not fail callers by a queue that is full', async () => {
    const gateway = await scene.canary({}, 1, scene.bound({ maxInFlight: 1 }));
    scene.server.react = async (call, response) => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      void tensorflowLike(2, 0.5)(call, response);
    };
    await askMany(gateway, 2);
    expect((await askMany(gateway, 60)).every(({ status }) => status === 200)).toBe(true);
  });
});

describe('a champion whose answers change', () => {
  it('goes on, and pages', async () => {
    const gateway = await scene.champion();
    await ready(gateway);
    scene.server.react = tensorflowLike(2, 0.75);
    await until(async () => (await metric(gateway, 'state'))!.endsWith(' 3'), 'the metric pages');
    expect(Number((await metric(gateway, 'check_difference'))!.split(' ')[1])).toBeCloseTo(0.1, 5);
    expect((await post(gateway.url, inferBody([1]))).body.outputs[0]!.data).toEqual([2.75]);
    await until(async () => (await scene.problem()) === 'ENDPOINT_CHANGED', 'the heartbeat says so');
    scene.server.react = tensorflowLike(2, 0.5);
    await until(async () => (await metric(gateway, 'state'))!.endsWith(' 1'), 'it is as it was');
  });

  it('stops where its descriptor says so, until it answers as it did', async () => {
    const gateway = await scene.champion(`${TF}onChange: stop\n`);
    await ready(gateway);
    scene.server.react = tensorflowLike(2, 0.75);
    await until(async () => (await health(gateway))[1] === 'ENDPOINT_CHANGED', 'it is not ready');
    const answer = await post(gateway.url, inferBody([1]));
    expect([answer.status, answer.body.code]).toEqual([503, 'ENDPOINT_CHANGED']);
    scene.server.react = tensorflowLike(2, 0.5);
    await ready(gateway);
    expect((await post(gateway.url, inferBody([1]))).body.outputs[0]!.data).toEqual([2.5]);
  });
});

async function serveGraph({ onnx, signature }: ReturnType<typeof linearModel>): Promise<LocalModel> {
  mkdirSync(scene.home, { recursive: true });
  const onnxPath = join(scene.home, 'behind.onnx');
  writeFileSync(onnxPath, onnx);
  return serveLocalModel({ onnxPath, signature, port: 0 });
}

describe('a gateway in front of a gateway', () => {
  const inputs = [
    inputSignature('distance', { nullable: true }),
    inputSignature('at', { type: 'timestamp', nullable: true }),
    inputSignature('origin', { type: 'category', nullable: true }),
    inputSignature('night', { type: 'boolean' }),
  ];

  it.each(['binary: true', 'binary: false'])('gives the very same scores (%s)', async (binary) => {
    const model = linearModel(1.1, 0.3, inputs);
    const behind = await serveGraph(model);
    const v2 = `endpoint: behind\nprotocol: v2\nmodel: local/model\noutput: score\nmissing: null\n${binary}\n`;
    const rows = [{ distance: 0.1, at: 983_404_800_000, origin: 'SEA', night: true }];
    const samples = {
      rows,
      outputs: [Math.fround(Math.fround(Math.fround(0.1) * Math.fround(1.1)) + Math.fround(0.3))],
    };
    await scene.route(await scene.release(endpointModel(v2, model.signature), samples));
    const gateway = await scene.start({ endpoints: bindTo({ behind: behind.url }) });
    await ready(gateway);
    const distances = Array.from({ length: 700 }, (_, row) => row * 0.37);
    const body = JSON.stringify({
      inputs: [
        { name: 'distance', datatype: 'FP32', shape: [700, 1], data: distances },
        {
          name: 'at',
          datatype: 'INT64',
          shape: [700, 1],
          data: distances.map((_, row) => (row % 3 ? row * 1e9 : null)),
        },
        {
          name: 'origin',
          datatype: 'BYTES',
          shape: [700, 1],
          data: distances.map((_, row) => (row % 5 ? `čşž${row}` : null)),
        },
        { name: 'night', datatype: 'BOOL', shape: [700, 1], data: distances.map((_, row) => row % 2 === 0) },
      ],
    });
    const through = await post(gateway.url, body);
    const direct = await post(behind.url, body, {}, 'local/model');
    await behind.close();
    expect(through.status).toBe(200);
    expect(through.body.outputs[0]!.data).toEqual(direct.body.outputs[0]!.data);
  });
});

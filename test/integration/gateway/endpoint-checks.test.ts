import { Registry } from 'prom-client';
import type { ReleaseManifest, ReleaseRef } from '../../../workflows/domain/release';
import { EndpointMetrics } from '../../../workers/gateway/endpoints/endpoint-metrics';
import { OpenEndpoints } from '../../../workers/gateway/endpoints/open-endpoints';
import { bindTo, ModelServer, sendJson, tensorflowLike } from '../../support/model-server';
import { endpointModel, hang, SAMPLES, TF } from './endpoint-scene';
import { until } from './fixture';

let server: ModelServer;
let opened: OpenEndpoints | null = null;
beforeEach(async () => (server = await new ModelServer(tensorflowLike(2, 0.5)).start()));
afterEach(async () => {
  opened?.close();
  await server.stop();
});

async function open(text = TF) {
  const { onnx, signature } = endpointModel(text);
  const nothing = (): void => undefined;
  opened = new OpenEndpoints({
    ...{ bindings: bindTo({ 'risk-tf': server.origin }), metrics: new EndpointMetrics(new Registry()), maxWaitMs: 50 },
    ...{ nowMs: () => performance.now(), onSettled: nothing, onChanged: nothing },
  });
  const ref = { model: 'risk/model', version: 1 } as unknown as ReleaseRef;
  const manifest = { signature } as unknown as ReleaseManifest;
  return (await opened.open({ ref, manifest, descriptor: onnx, samples: SAMPLES })).endpoint;
}

describe('the checks of a server', () => {
  it('hold up the opening of its release for a second at most, and bring it back behind', async () => {
    server.react = hang;
    const startedMs = performance.now();
    const endpoint = await open(TF.replace('500ms', '60s'));
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(endpoint.refusal).toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' });
    await server.stop();
    server.react = tensorflowLike(2, 0.5);
    await server.start();
    await until(() => endpoint.problem === null, 'a check brought it back');
  });

  it.each([401, 404, 302])('take %d for no other model, and say it', async (status) => {
    const endpoint = await open();
    server.react = (_, response) => sendJson(response, {}, status);
    const before = server.calls.length;
    await until(() => endpoint.problem !== null && server.calls.length > before + 2, 'it was looked at');
    expect([endpoint.isChanged, endpoint.refusal, endpoint.problem?.message]).toEqual([
      false,
      null,
      expect.stringContaining(`it cannot be checked: the endpoint risk-tf answered ${status}`),
    ]);
    server.react = tensorflowLike(2, 0.5);
    await until(() => endpoint.problem === null, 'all is well again');
  });

  it('keep a server out that answers only with a status from the beginning', async () => {
    server.react = (_, response) => sendJson(response, {}, 401);
    const endpoint = await open();
    await until(() => server.calls.length > 2, 'it was looked at again');
    expect([endpoint.isChanged, endpoint.refusal?.code]).toEqual([false, 'ENDPOINT_UNAVAILABLE']);
    expect(endpoint.refusal?.message).toContain('the endpoint risk-tf answered 401');
    server.react = tensorflowLike(2, 0.5);
    await until(() => endpoint.refusal === null, 'it is in');
  });

  it('look again soon after the first difference', async () => {
    const endpoint = await open(TF.replace('every: 1s', 'every: 3s'));
    server.react = tensorflowLike(2, 0.75);
    let firstMs = Infinity;
    await until(() => server.calls.length >= 2, 'the first difference', 20_000);
    firstMs = performance.now();
    await until(() => endpoint.isChanged, 'it counts');
    expect(performance.now() - firstMs).toBeLessThan(2_900);
  });
});

import { request, type ServerResponse } from 'node:http';
import { NO_BINDINGS } from '../../../infra/endpoints/bindings';
import type { ObjectStore } from '../../../infra/object-store/port';
import { SlipwayError } from '../../../workflows/domain/errors';
import { sendJson, tensorflowLike } from '../../support/model-server';
import { askMany, endpointModel, EndpointScene, hang, health, metric, SAMPLES, TF } from './endpoint-scene';
import { inferBody, MODEL, post, ready, until } from './fixture';
import { DISTANCE, signatureWith } from './models';

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

let scene: EndpointScene;
beforeEach(async () => (scene = await new EndpointScene().begin()));
afterEach(() => scene.dispose());

function unavailableStore(): ObjectStore {
  const lost = () => Promise.reject(new SlipwayError('STORE_UNAVAILABLE', 'lost by the test'));
  return new Proxy({}, { get: () => lost }) as ObjectStore;
}

describe('a server as the champion', () => {
  it('answers through the gateway, in as many calls as one may have rows', async () => {
    const gateway = await scene.champion(`${TF}maxRows: 2\n`);
    await ready(gateway);
    const answer = await post(gateway.url, inferBody([1, 2, 10]), { traceparent: TRACE });
    expect([answer.status, answer.body.outputs[0]!.data]).toEqual([200, [2.5, 4.5, 20.5]]);
    const served = scene.server.calls.filter(({ purpose }) => purpose === 'serve');
    expect(served.map(({ body }) => JSON.parse(body.toString()) as unknown)).toEqual([
      { instances: [{ distance: 1 }, { distance: 2 }] },
      { instances: [{ distance: 10 }] },
    ]);
    expect(served[0]).toMatchObject({
      path: '/v1/models/risk:predict',
      headers: { 'accept-encoding': 'identity', traceparent: TRACE, 'content-type': 'application/json' },
    });
    expect(served[0]!.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/);
    expect(await metric(gateway, 'requests_total')).toContain(`{model="${MODEL}",outcome="ok",process="gateway"} 1`);
    expect(await metric(gateway, 'state')).toMatch(/ 1$/);
    const explained = await post(gateway.url, inferBody([1], { parameters: { explain: true } }));
    expect([explained.status, explained.body.outputs.length]).toEqual([200, 1]);
  });

  it('is told when it is down, not waited for; only its model is not ready; and it comes back', async () => {
    const gateway = await scene.champion();
    await ready(gateway);
    await scene.server.stop();
    const codes = (await askMany(gateway, 8)).map(({ status, body }) => [status, body.code]);
    expect(new Set(codes.map(String))).toEqual(new Set(['503,ENDPOINT_UNAVAILABLE']));
    expect(await health(gateway)).toEqual([503, 'ENDPOINT_UNAVAILABLE']);
    expect(await health(gateway, '/v2/health/ready')).toEqual([200, undefined]);
    expect(await metric(gateway, 'state')).toMatch(/ 2$/);
    scene.server.react = hang;
    await scene.server.start();
    const sent = scene.server.countOf('serve');
    expect((await post(gateway.url, inferBody([1]))).body.code).toBe('ENDPOINT_UNAVAILABLE');
    expect(scene.server.countOf('serve')).toBe(sent);
    scene.server.react = tensorflowLike(2, 0.5);
    await ready(gateway);
    expect((await post(gateway.url, inferBody([1]))).body.outputs[0]!.data).toEqual([2.5]);
  });

  it('is not believed to be down because of callers who give it no time', async () => {
    const gateway = await scene.champion();
    await ready(gateway);
    scene.server.react = async (call, response) => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      void tensorflowLike(2, 0.5)(call, response);
    };
    const hasty = await askMany(gateway, 10, { parameters: { timeout: 5_000 } });
    expect(hasty.map(({ body }) => body.code)).toEqual(hasty.map(() => 'DEADLINE_EXCEEDED'));
    expect(await health(gateway)).toEqual([200, undefined]);
    expect((await post(gateway.url, inferBody([1]))).body.outputs[0]!.data).toEqual([2.5]);
  });

  it('is opened while it is away, and is ready once it answers', async () => {
    await scene.server.stop();
    const gateway = await scene.champion();
    await until(async () => (await health(gateway))[1] === 'ENDPOINT_UNAVAILABLE', 'the model is known, and out');
    expect((await post(gateway.url, inferBody([1]))).body.code).toBe('ENDPOINT_UNAVAILABLE');
    await scene.server.start();
    await ready(gateway);
    expect((await post(gateway.url, inferBody([1]))).status).toBe(200);
  });

  it.each([
    ['slow', hang, 504, 'ENDPOINT_TIMEOUT'],
    ['broken', (_: unknown, response: ServerResponse) => sendJson(response, {}, 500), 503, 'ENDPOINT_UNAVAILABLE'],
    [
      'moved',
      (_: unknown, response: ServerResponse) => void response.writeHead(302, { location: '/' }).end(),
      502,
      'ENDPOINT_ANSWER_INVALID',
    ],
    [
      'of another shape',
      (_: unknown, response: ServerResponse) => sendJson(response, { predictions: [1, 2] }),
      502,
      'ENDPOINT_ANSWER_INVALID',
    ],
    [
      'not finite',
      (_: unknown, response: ServerResponse) => void response.end('{"predictions": [[0, 1e999]]}'),
      502,
      'ENDPOINT_ANSWER_INVALID',
    ],
  ])('tells a caller that it is %s by a code', async (_, react, status, code) => {
    const gateway = await scene.champion();
    await ready(gateway);
    scene.server.react = react;
    const answer = await post(gateway.url, inferBody([1]));
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  it('is named where no origin is bound to it, and served once the file says so', async () => {
    let isBound = false;
    const bindings = scene.bound();
    const endpoints = { ...bindings, find: (name: string) => (isBound ? bindings : NO_BINDINGS).find(name) };
    const gateway = await scene.champion(TF, endpoints);
    const say = async () =>
      (await (await fetch(`${gateway.url}/v2/models/${MODEL}/ready`)).json()) as { error: string };
    await until(async () => (await say()).error.includes('ENDPOINT_NOT_BOUND'), 'it says what is missing');
    isBound = true;
    await ready(gateway);
  });

  it('opens again from disk, without the store', async () => {
    const gateway = await scene.champion();
    await ready(gateway);
    await scene.stop(gateway);
    const again = await scene.start({ endpoints: scene.bound(), store: unavailableStore() });
    await ready(again);
    expect((await post(again.url, inferBody([1]))).body.outputs[0]!.data).toEqual([2.5]);
  });

  it('is sent nothing for a caller that left, and no more at once than it is allowed', async () => {
    const held: ServerResponse[] = [];
    const gateway = await scene.champion(TF.replace('500ms', '20s'), scene.bound({ maxInFlight: 2 }));
    await ready(gateway);
    scene.server.react = (call, response) =>
      call.purpose === 'serve' ? void held.push(response) : tensorflowLike(2, 0.5)(call, response);
    const first = [post(gateway.url, inferBody([1])), post(gateway.url, inferBody([1]))];
    await until(() => held.length === 2, 'both slots are taken');
    const leaving = request(`${gateway.url}/v2/models/${MODEL}/infer`, { method: 'POST' });
    const left = new Promise((resolve) => leaving.once('error', resolve));
    leaving.end(inferBody([2]), () => setTimeout(() => leaving.destroy(new Error('left')), 50));
    const stays = post(gateway.url, inferBody([3]));
    await left;
    expect(await metric(gateway, 'in_flight')).toMatch(/ 2$/);
    for (const response of held.splice(0)) sendJson(response, { predictions: [[0, 7]] });
    await until(() => held.length === 1, 'the one that stayed is sent');
    sendJson(held.pop()!, { predictions: [[0, 7]] });
    expect((await Promise.all([...first, stays])).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(scene.server.calls.filter(({ body }) => body.includes('"distance":2}')).length).toBe(0);
  });

  it('refuses what would wait too long, with a time to come back', async () => {
    const gateway = await scene.champion(TF.replace('500ms', '20s'), scene.bound({ maxInFlight: 1 }));
    await ready(gateway);
    scene.server.react = async (call, response) => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      void tensorflowLike(2, 0.5)(call, response);
    };
    await post(gateway.url, inferBody([1]));
    const answers = await askMany(gateway, 40);
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(20);
    expect(new Set(refused.map(({ body }) => body.code))).toEqual(new Set(['OVERLOADED']));
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(2);
  });

  it('is not sent a row with a missing value that it cannot be told of', async () => {
    const distance = { ...DISTANCE, nullable: true };
    const release = await scene.release(endpointModel(TF, signatureWith([distance])), SAMPLES);
    await scene.route(release);
    const gateway = await scene.start({ endpoints: scene.bound() });
    await ready(gateway);
    const answer = await post(gateway.url, inferBody([1, null]));
    expect([answer.status, answer.body.code]).toEqual([422, 'INPUT_INVALID']);
    expect(answer.body.error).toContain('row 1, feature "distance"');
    expect(scene.server.countOf('serve')).toBe(0);
  });
});

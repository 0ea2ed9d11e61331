import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';
import type { Gateway } from '../../../workers/gateway/gateway';
import { GatewayFixture, inferBody, MODEL, post, ready } from './fixture';
import { linearModel } from './models';

const fixture = new GatewayFixture();
let gateway: Gateway;
beforeAll(async () => {
  await fixture.route(await fixture.release(linearModel(2, 1)), null, { clock: 'event' });
  gateway = await fixture.start({ limits: { ...DEFAULT_LIMITS, bodyBytes: 2_000 } });
  await ready(gateway);
});
afterAll(() => fixture.dispose());

async function ask(
  method: string,
  path: string,
  body?: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${gateway.url}${path}`, { method, ...(body === undefined ? {} : { body }) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const INFER = `/v2/models/${MODEL}/infer`;
const AT = { parameters: { event_time: 983_404_800_000 } };

describe('V2 over HTTP', () => {
  it.each([
    [
      'GET',
      '/v2',
      {
        name: 'slipway',
        version: '2',
        extensions: ['binary_tensor_data', 'model_repository'],
        parameters: { authentication: 'none' },
      },
    ],
    ['GET', '/v2/health/live', { live: true }],
    ['GET', '/v2/health/ready', { ready: true }],
    ['GET', `/v2/models/${MODEL}/ready`, { name: MODEL, ready: true }],
    ['GET', `/v2/models/${MODEL}/versions/1/ready`, { name: MODEL, ready: true }],
    ['GET', '/v2/repository/index', [{ name: MODEL, version: '1', state: 'READY', reason: '' }]],
    ['POST', '/v2/repository/index', [{ name: MODEL, version: '1', state: 'READY', reason: '' }]],
  ])('answers %s %s', async (method, path, expected) => {
    expect(await ask(method, path)).toEqual({ status: 200, body: expected });
  });

  it('describes a model by its signature', async () => {
    const { body } = await ask('GET', '/v2/models/flights%2Flate-arrival');
    expect(body).toMatchObject({
      name: MODEL,
      versions: ['1'],
      inputs: [
        {
          name: 'distance',
          datatype: 'FP32',
          shape: [-1, 1],
          parameters: { type: 'number', unit: 'mi', range: [0, 5_000] },
        },
      ],
      outputs: [{ name: 'score', datatype: 'FP32', shape: [-1, 1] }],
    });
  });

  it('takes a model name in one path segment, and requested outputs', async () => {
    const body = inferBody([1], { ...AT, outputs: [{ name: 'score' }] });
    const answer = await ask('POST', '/v2/models/flights%2Flate-arrival/infer', body);
    expect([answer.status, answer.body.outputs]).toEqual([
      200,
      [{ name: 'score', datatype: 'FP32', shape: [1, 1], data: [3] }],
    ]);
  });

  it.each([
    ['an unknown model', 'POST', '/v2/models/flights/other/infer', inferBody([1], AT), 404, 'MODEL_UNKNOWN'],
    ['an unknown version', 'GET', `/v2/models/${MODEL}/versions/7`, undefined, 404, 'MODEL_UNKNOWN'],
    [
      'a version that is not served',
      'POST',
      `/v2/models/${MODEL}/versions/7/infer`,
      inferBody([1], AT),
      404,
      'MODEL_UNKNOWN',
    ],
    ['an unknown path', 'GET', '/v3', undefined, 404, 'NOT_FOUND'],
    ['another method', 'DELETE', INFER, undefined, 405, 'METHOD_NOT_ALLOWED'],
    ['a body that is no JSON', 'POST', INFER, '{', 400, 'REQUEST_INVALID'],
    ['an empty body', 'POST', INFER, '', 400, 'REQUEST_INVALID'],
    ['an unknown output', 'POST', INFER, inferBody([1], { ...AT, outputs: [{ name: 'x' }] }), 400, 'REQUEST_INVALID'],
    ['a missing event time', 'POST', INFER, inferBody([1]), 400, 'REQUEST_INVALID'],
    [
      'an event time that is no instant',
      'POST',
      INFER,
      inferBody([1], { parameters: { event_time: 'now' } }),
      400,
      'REQUEST_INVALID',
    ],
    ['a value out of range', 'POST', INFER, inferBody([-1], AT), 422, 'INPUT_INVALID'],
    ['a body beyond the limit', 'POST', INFER, inferBody(Array<number>(1_000).fill(1), AT), 413, 'REQUEST_TOO_LARGE'],
  ])('refuses %s with a code and advice', async (_what, method, path, body, status, code) => {
    const answer = await ask(method, path, body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(typeof answer.body.error).toBe('string');
    expect(String(answer.body.advice).length).toBeGreaterThan(10);
  });

  it('counts every outcome under a code of the catalogue', async () => {
    await post(gateway.url, inferBody([-1], AT));
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(text).toMatch(
      /slipway_gateway_requests_total\{model="flights\/late-arrival",arm="none",code="INPUT_INVALID",process="gateway"\} [1-9]/,
    );
    expect(text).toMatch(
      /slipway_gateway_latency_seconds_bucket\{model="flights\/late-arrival",le="\+Inf",process="gateway"\} [1-9]/,
    );
    expect(text).toMatch(/slipway_gateway_generation\{model="flights\/late-arrival",process="gateway"\} 1/);
  });
});

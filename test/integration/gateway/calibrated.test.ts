import { predict } from '../../../client/predict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { signArmPermit } from '../../../client/signed-documents';
import { findRequest } from '../../../infra/predictions/find-request';
import { createSigner } from '../../../infra/signing/keys';
import type { ReleaseManifest } from '../../../workflows/domain/release';
import type { ServingSpec } from '../../../workflows/domain/serving';
import { applyCalibration, type CalibrationMap } from '../../../workflows/domain/statistics/calibration-map';
import type { Gateway } from '../../../workers/gateway/gateway';
import { InferenceClient, scoresOf } from '../../support/inference-client';
import { slipwayCli } from '../../support/slipway-cli';
import { testKeys, testPolicy } from '../../support/workspace';
import { GatewayFixture, inferBody, MODEL, post, ready } from './fixture';
import { DISTANCE, linearModel } from './models';

let fixture: GatewayFixture;
beforeEach(() => (fixture = new GatewayFixture()));
afterEach(() => fixture.dispose());

const SOURCE = { rows: 4_000, split: 'validation' } as const;
const ISOTONIC: CalibrationMap = {
  ...{ method: 'isotonic', scores: [0.1, 0.5, 0.9], probabilities: [0.02, 0.2, 0.8] },
  ...SOURCE,
};
const PLATT: CalibrationMap = { method: 'platt', slope: 0.5, intercept: -1, ...SOURCE };
const SCORES = [0.05, 0.3, 0.7];
const SAMPLES = { rows: [{ distance: 0.25 }, { distance: 0.5 }], outputs: [0.25, 0.5] };

interface Made {
  readonly calibration?: ReleaseManifest['calibration'];
  readonly serving?: Partial<ServingSpec>;
  readonly task?: 'binary' | 'regression';
  readonly bias?: number;
}

/** score = distance + bias. */
function modelWith({
  calibration,
  serving = {},
  task = 'binary',
  bias = 0,
}: Made): Parameters<GatewayFixture['release']>[0] {
  const { onnx, signature } = linearModel(1, bias, [DISTANCE]);
  return { onnx, signature: { ...signature, task }, serving, ...(calibration ? { calibration } : {}) };
}

const expected = (map: CalibrationMap, scores: readonly number[] = SCORES): number[] =>
  scores.map((score) => Math.fround(applyCalibration(map, Math.fround(score))));

async function serve(made: Made, changes: Parameters<GatewayFixture['start']>[0] = {}): Promise<Gateway> {
  await fixture.route(await fixture.release(modelWith(made), SAMPLES));
  const gateway = await fixture.start(changes);
  await ready(gateway);
  return gateway;
}

interface Output {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

async function outputsOf(url: string, changes: object, headers: Record<string, string> = {}): Promise<Output[]> {
  const { status, body } = await post(url, inferBody(SCORES, changes as Record<string, unknown>), headers);
  expect([status, body.error]).toEqual([200, undefined]);
  return body.outputs as unknown as Output[];
}

const ASKS = [
  ['the output', { outputs: [{ name: 'calibrated' }] }],
  ['the parameter', { parameters: { calibrated: true } }],
] as const;

describe('calibrated probabilities', () => {
  it.each(ASKS)('stand beside the score where a request has %s, and not where nobody asks', async (_, changes) => {
    const { url } = await serve({ calibration: ISOTONIC });
    expect(await outputsOf(url, changes)).toEqual([
      { name: 'score', datatype: 'FP32', shape: [3, 1], data: SCORES.map(Math.fround) },
      { name: 'calibrated', datatype: 'FP32', shape: [3, 1], data: expected(ISOTONIC) },
    ]);
    expect((await outputsOf(url, {})).map(({ name }) => name)).toEqual(['score']);
    const metadata = await (await fetch(`${url}/v2/models/${MODEL}`)).json();
    expect(metadata).toMatchObject({
      outputs: [
        { name: 'score' },
        { name: 'calibrated', datatype: 'FP32', shape: [-1, 1], parameters: { method: 'isotonic', when: 'request' } },
      ],
    });
  });

  it('are in every answer where the release says so, to rows by feature name too', async () => {
    const { url } = await serve({ calibration: PLATT, serving: { calibration: 'always' } });
    expect((await outputsOf(url, { outputs: [{ name: 'score' }] }))[1]).toMatchObject({ data: expected(PLATT) });
    const answer = await fetch(`${url}/v1/models/${MODEL}:predict`, {
      method: 'POST',
      body: JSON.stringify({ instances: SCORES.map((distance) => ({ distance })) }),
    });
    const body = (await answer.json()) as Record<string, unknown>;
    expect(body).toMatchObject({ predictions: SCORES.map(Math.fround), calibrated: expected(PLATT) });
    expect(body).not.toHaveProperty('explanations');
  });

  it('are in what the client reads, where they came', async () => {
    const { url } = await serve({ calibration: PLATT });
    const rows = SCORES.map((distance) => ({ distance }));
    const asked = await predict(MODEL, { gateway: url, rows, parameters: { calibrated: true } });
    expect([asked.scores, asked.calibrated]).toEqual([SCORES.map(Math.fround), expected(PLATT)]);
    expect(await predict(MODEL, { gateway: url, rows })).not.toHaveProperty('calibrated');
  });

  it('come as bytes where the caller wants bytes', async () => {
    const { url } = await serve({ calibration: ISOTONIC });
    const answer = await fetch(`${url}/v2/models/${MODEL}/infer`, {
      method: 'POST',
      body: inferBody(SCORES, { parameters: { calibrated: true, binary_data_output: true } }),
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const floats = new Float32Array(new Uint8Array(bytes.subarray(-2 * 4 * SCORES.length)).buffer);
    expect([...floats]).toEqual([...SCORES.map(Math.fround), ...expected(ISOTONIC)]);
  });

  it('come over gRPC, typed and raw, and are in its metadata', async () => {
    const { grpcPort } = await serve({ calibration: ISOTONIC }, { grpcPort: 0 });
    const client = new InferenceClient(grpcPort!);
    try {
      const inputs = [{ name: 'distance', datatype: 'FP32', shape: [3, 1], contents: { fp32_contents: SCORES } }];
      const typed = await client.call('ModelInfer', { model_name: MODEL, inputs, outputs: [{ name: 'calibrated' }] });
      const outputs = typed['outputs'] as { name: string; contents: { fp32_contents: number[] } }[];
      expect(outputs.map(({ name }) => name)).toEqual(['score', 'calibrated']);
      expect(outputs[1]!.contents.fp32_contents).toEqual(expected(ISOTONIC));
      const parameters = { calibrated: { bool_param: true }, binary_data_output: { bool_param: true } };
      const raw = await client.call('ModelInfer', { model_name: MODEL, inputs, parameters });
      expect(scoresOf(raw)).toEqual(SCORES.map(Math.fround));
      const second = (raw['raw_output_contents'] as Buffer[])[1]!;
      expect([...new Float32Array(new Uint8Array(second).buffer)]).toEqual(expected(ISOTONIC));
      const metadata = await client.call('ModelMetadata', { name: MODEL });
      expect(metadata['outputs']).toMatchObject([{ name: 'score' }, { name: 'calibrated', datatype: 'FP32' }]);
    } finally {
      client.close();
    }
  });

  it('stand together with explanations, and with answers from the cache', async () => {
    const cache = { ttlMs: 60_000, entries: 10 };
    const { url } = await serve({ calibration: ISOTONIC, serving: { cache } });
    const asked = { outputs: [{ name: 'score' }, { name: 'calibrated' }, { name: 'reasons' }] };
    // Without, with, and with again: the scores are kept, and what is made of them is not.
    await outputsOf(url, {});
    for (let time = 0; time < 2; time += 1) {
      const outputs = await outputsOf(url, asked);
      const names = ['explanation', 'explanation_error', 'explanation_base', 'reasons'];
      expect(outputs.map(({ name }) => name)).toEqual(['score', 'calibrated', ...names]);
      expect(outputs[1]!.data).toEqual(expected(ISOTONIC));
    }
    const predicted = await fetch(`${url}/v1/models/${MODEL}:predict`, {
      method: 'POST',
      body: JSON.stringify({ instances: [{ distance: 0.3 }], parameters: { calibrated: true, explain: true } }),
    });
    expect(await predicted.json()).toMatchObject({
      calibrated: expected(ISOTONIC, [0.3]),
      explanations: [{ reasons: ['distance'] }],
    });
  });

  it.each([
    ['the evidence had a reason', { calibration: { method: 'none', reason: 'the split has no rows' } }, 'has no rows'],
    ['its spec says never', { calibration: ISOTONIC, serving: { calibration: 'never' } }, 'serving.calibration: never'],
    ['it is older than maps', {}, 'no calibration map was signed with it'],
    ['it is a regression', { task: 'regression' }, 'it gives values, not probabilities'],
  ] as const)('are refused with the reason where there are none because %s', async (_, made, reason) => {
    const { url } = await serve(made);
    for (const [, changes] of ASKS) {
      const { status, body } = await post(url, inferBody(SCORES, changes));
      expect([status, body.code]).toEqual([400, 'REQUEST_INVALID']);
      expect(body.error).toContain(`release 1 gives no calibrated probabilities, because`);
      expect(body.error).toContain(reason);
    }
    expect((await outputsOf(url, {})).map(({ name }) => name)).toEqual(['score']);
  });
});

/** What `slipway history --request` prints. */
async function history(request: string): Promise<string> {
  mkdirSync(fixture.home, { recursive: true });
  const trust = join(fixture.home, 'trust.json');
  writeFileSync(trust, JSON.stringify(testPolicy()));
  const env = {
    ...{ PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_STATE: fixture.home },
    ...{ SLIPWAY_STORE: `fs:${fixture.storeRoot}`, SLIPWAY_TRUST: trust },
  };
  const { code, stdout, stderr } = await slipwayCli(env, fixture.home, 'history', MODEL, '--request', request);
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

describe('calibrated probabilities while a challenger is on trial', () => {
  const permit = (arm: string): Record<string, string> => ({
    'slipway-arm': signArmPermit(createSigner(testKeys.developer), {
      ...{ workspace: 'dev', model: MODEL, arm, validMs: 60_000 },
    }),
  });

  async function trial(challenger: Made): Promise<Gateway> {
    await fixture.route(
      await fixture.release(modelWith({ calibration: ISOTONIC })),
      { release: await fixture.release(modelWith({ ...challenger, bias: 0.01 })), weight: 0.999 },
      { assignment: { source: 'header', name: 'X-User' } },
    );
    const gateway = await fixture.start();
    await ready(gateway);
    return gateway;
  }

  it('are by the map of the release that answers', async () => {
    const { url } = await trial({ calibration: PLATT });
    const { body } = await post(url, inferBody([0.3], { parameters: { calibrated: true } }), { 'X-User': 'someone' });
    expect(body.parameters.arm).toBe('challenger');
    expect(body.outputs[1]!.data).toEqual(expected(PLATT, [body.outputs[0]!.data[0]!]));
    const asked = await post(url, inferBody([0.3], { parameters: { calibrated: true } }), permit('champion'));
    expect(asked.body.outputs[1]!.data).toEqual(expected(ISOTONIC, [0.3]));
  });

  it('are the champion’s where the challenger has none, which is charged with that', async () => {
    const gateway = await trial({});
    const { url } = gateway;
    const asking = inferBody([0.3], { id: 'asking', parameters: { calibrated: true } });
    const { body } = await post(url, asking, { 'X-User': 'someone' });
    expect(body.parameters.arm).toBe('champion');
    expect(body.outputs[1]!.data).toEqual(expected(ISOTONIC, [0.3]));
    const refused = await post(url, inferBody([0.3], { parameters: { calibrated: true } }), permit('challenger'));
    expect([refused.status, refused.body.code]).toEqual([400, 'REQUEST_INVALID']);
    const plain = await post(url, inferBody([0.3]), { 'X-User': 'someone' });
    expect([plain.body.parameters.arm, plain.body.outputs.length]).toEqual(['challenger', 1]);
    await fixture.stop(gateway);
    const rows = await findRequest(fixture.store, `${fixture.home}/mirror`, MODEL, 'asking', null);
    expect(rows).toMatchObject([{ arm: 'challenger', status: 'REQUEST_INVALID' }]);
  });

  it('leave the raw score to the prediction log, and are worked out again for who asks about a request', async () => {
    const gateway = await serve({ calibration: ISOTONIC });
    await outputsOf(gateway.url, { id: 'logged', parameters: { calibrated: true } });
    await fixture.stop(gateway);
    const rows = await findRequest(fixture.store, `${fixture.home}/mirror`, MODEL, 'logged', null);
    expect(rows.map(({ score }) => score)).toEqual(SCORES.map(Math.fround));
    expect(await history('logged/1')).toContain('request logged/1: score 0.3, calibrated 0.11, event time');
  });

  it('are not told of a request to a release without a map', async () => {
    const gateway = await serve({});
    await outputsOf(gateway.url, { id: 'logged' });
    await fixture.stop(gateway);
    expect(await history('logged/1')).toMatch(/^request logged\/1: score 0\.3, event time/);
  });
});

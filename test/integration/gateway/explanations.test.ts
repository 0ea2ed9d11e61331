import { GatewayFixture, inferBody, MODEL, post, ready } from './fixture';
import { DISTANCE, inputSignature, linearModel } from './models';

let fixture: GatewayFixture;
beforeEach(() => (fixture = new GatewayFixture()));
afterEach(() => fixture.dispose());

const SAMPLES = {
  rows: [
    { distance: 10, weight: 0 },
    { distance: 30, weight: 4 },
  ],
  outputs: [21, 61],
};
/** score = 2 distance + 1; `weight` is an input that changes nothing. */
const MODEL_OF_TWO = linearModel(2, 1, [DISTANCE, inputSignature('weight')]);
const EXPLAIN = { evaluations: 256, reasons: 1 } as const;

interface Output {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}

function bodyOf(distances: number[], more: object = {}): string {
  const tensor = { datatype: 'FP32', shape: [distances.length, 1] };
  const inputs = [
    { ...tensor, name: 'distance', data: distances },
    { ...tensor, name: 'weight', data: distances.map(() => 7) },
  ];
  return JSON.stringify({ inputs, ...more });
}

/** A counter's value; 0 where there is no series that has the labels. */
async function metric(url: string, name: string, labels: readonly string[]): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const line = page
    .split('\n')
    .find((text) => text.startsWith(`${name}{`) && labels.every((label) => text.includes(label)));
  return Number(line?.split(' ').at(-1) ?? 0);
}

async function serve(when: 'never' | 'request' | 'always', samples = SAMPLES): Promise<string> {
  await fixture.route(await fixture.release({ ...MODEL_OF_TWO, serving: { explain: { when, ...EXPLAIN } } }, samples));
  const gateway = await fixture.start();
  await ready(gateway);
  return gateway.url;
}

describe('an answer with an explanation', () => {
  it('says what each feature added to the mean of the samples, as outputs that were asked for', async () => {
    const url = await serve('request');
    const { status, body } = await post(
      url,
      bodyOf([50, 20], { outputs: [{ name: 'score' }, { name: 'explanation' }] }),
    );
    expect(status).toBe(200);
    const outputs = new Map((body.outputs as readonly Output[]).map((output) => [output.name, output]));
    expect(outputs.get('score')!.data).toEqual([101, 41]);
    expect(outputs.get('explanation')).toEqual({
      name: 'explanation',
      datatype: 'FP32',
      shape: [2, 2],
      data: [60, 0, 0, 0],
    });
    expect(outputs.get('explanation_error')!.data).toEqual([0, 0, 0, 0]);
    expect(outputs.get('explanation_base')!.data).toEqual([41, 41]);
    expect(outputs.get('reasons')).toMatchObject({ datatype: 'BYTES', shape: [2, 1] });
    expect(outputs.get('reasons')!.data[0]).toBe('distance');
    expect(await metric(url, 'slipway_gateway_explanations_total', ['outcome=\"given\"'])).toBe(1);
  });

  it('comes with every answer where the release says so, to rows by name too', async () => {
    const url = await serve('always');
    expect((await post(url, bodyOf([50]))).body).toHaveProperty('outputs.4.name', 'reasons');
    const answer = await fetch(`${url}/v1/models/${MODEL}:predict`, {
      method: 'POST',
      body: JSON.stringify({ instances: [{ distance: 50, weight: 7 }] }),
    });
    expect(await answer.json()).toMatchObject({
      predictions: [101],
      explanations: [{ base: 41, reasons: ['distance'], contributions: { distance: 60, weight: 0 } }],
    });
  });

  it('is not given where the release says never, and not where nobody asks', async () => {
    const url = await serve('never');
    expect(await post(url, bodyOf([1], { outputs: [{ name: 'reasons' }] }))).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID' },
    });
    expect((await post(url, bodyOf([1]))).body).toHaveProperty('outputs.length', 1);
  });

  it('is refused with the answer where it is due and cannot be made, and only left out where it was asked for', async () => {
    const nothing = { rows: [], outputs: [] };
    const due = await serve('always', nothing);
    expect(await post(due, bodyOf([1]))).toMatchObject({ status: 500, body: { code: 'INFERENCE_FAILED' } });
    await fixture.dispose();
    fixture = new GatewayFixture();
    const asked = await serve('request', nothing);
    const { status, body } = await post(asked, bodyOf([1], { parameters: { explain: true } }));
    expect([status, body.outputs.length]).toEqual([200, 1]);
    expect(await metric(asked, 'slipway_gateway_explanations_total', ['outcome=\"left-out\"'])).toBe(1);
  });
});

describe('a release with a cache', () => {
  const CACHED = { ...linearModel(2, 1), serving: { cache: { ttlMs: 60_000, entries: 100 } } };

  it('answers the same inputs from it, counted and logged as any other, until its route changes', async () => {
    const release = await fixture.release(CACHED);
    await fixture.route(release);
    const gateway = await fixture.start();
    await ready(gateway);
    const hits = (): Promise<number> => metric(gateway.url, 'slipway_gateway_cache_total', ['outcome="hit"']);
    const scores: unknown[] = [];
    for (const distance of [1, 1, 2, 1])
      scores.push((await post(gateway.url, inferBody([distance]))).body.outputs[0]!.data[0]);
    expect(scores).toEqual([3, 3, 5, 3]);
    expect(await hits()).toBe(2);
    expect(await metric(gateway.url, 'slipway_gateway_requests_total', ['arm="champion"', 'code="ok"'])).toBe(4);
    await fixture.route(release);
    await gateway.poll();
    await post(gateway.url, inferBody([1]));
    expect(await hits()).toBe(2);
  });
});

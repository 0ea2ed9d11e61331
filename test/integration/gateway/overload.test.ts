import { request } from 'node:http';
import { GatewayFixture, inferBody, MODEL, post, ready, until } from './fixture';
import { linearModel, slowModel } from './models';

const QUICK = 'flights/quick';

let fixture: GatewayFixture;
beforeEach(() => (fixture = new GatewayFixture()));
afterEach(() => fixture.dispose());

/** A model that is at work long after what comes next has come, on any machine, and what it answers. */
async function startSlow(): Promise<string> {
  await fixture.route(await fixture.release(slowModel(1_024, 32)));
  await fixture.route(await fixture.release(linearModel(2, 0), undefined, QUICK));
  const gateway = await fixture.start();
  await until(async () => (await fetch(`${gateway.url}/v2/models/${QUICK}/ready`)).status === 200, 'quick', 60_000);
  await until(async () => (await fetch(`${gateway.url}/v2/models/${MODEL}/ready`)).status === 200, 'slow', 60_000);
  await ready(gateway);
  return gateway.url;
}

/** The thread is at work on it when this resolves. */
async function occupy(url: string): Promise<{ readonly answer: ReturnType<typeof post> }> {
  const answer = post(url, inferBody([7]));
  await until(
    async () => (await page(url)).includes('slipway_gateway_running_batches{process="gateway"} 1'),
    'it began',
  );
  return { answer };
}

async function page(url: string): Promise<string> {
  return (await fetch(`${url}/metrics`)).text();
}

async function requestsOf(url: string, model = MODEL): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [, arm, code, count] of (await page(url)).matchAll(
    new RegExp(`^slipway_gateway_requests_total\\{model="${model}",arm="(\\w+)",code="(\\w+)".*\\} (\\d+)$`, 'gm'),
  ))
    counts[`${arm} ${code}`] = Number(count);
  return counts;
}

describe('a gateway with a slow model', () => {
  it('answers 504 at the deadline, infers nothing for it, and charges no arm with it', async () => {
    const url = await startSlow();
    const { answer } = await occupy(url);
    const late = await post(url, inferBody([1], { parameters: { timeout: 1_000 } }));
    expect([late.status, late.body.code]).toEqual([504, 'DEADLINE_EXCEEDED']);
    expect((await answer).body.outputs[0]!.data).toEqual([7]);
    expect(await requestsOf(url)).toEqual({ 'champion ok': 1, 'none DEADLINE_EXCEEDED': 1 });
  });

  it('charges the arm that was at work when the deadline passed', async () => {
    const url = await startSlow();
    const late = post(url, inferBody([1], { parameters: { timeout: 100_000 } }));
    await until(
      async () => (await page(url)).includes('slipway_gateway_running_batches{process="gateway"} 1'),
      'it began',
    );
    expect([(await late).status, (await late).body.code]).toEqual([504, 'DEADLINE_EXCEEDED']);
    expect((await post(url, inferBody([3]))).body.outputs[0]!.data).toEqual([3]);
    expect(await requestsOf(url)).toEqual({ 'champion ok': 1, 'champion DEADLINE_EXCEEDED': 1 });
  });

  it('infers nothing for a caller that left', async () => {
    const url = await startSlow();
    const { answer } = await occupy(url);
    const path = `${url}/v2/models/${MODEL}/infer`;
    const leaving = request(path, { method: 'POST' });
    const left = new Promise((resolve) => leaving.once('error', resolve));
    leaving.end(inferBody([1]), () => setTimeout(() => leaving.destroy(new Error('left')), 50));
    await left;
    expect((await answer).status).toBe(200);
    await until(async () => (await requestsOf(url))['none CANCELLED'] === 1, 'it is counted');
    expect(await requestsOf(url)).toEqual({ 'champion ok': 1, 'none CANCELLED': 1 });
  });

  it('answers 503 with Retry-After once what waits would take too long, and another model meanwhile', async () => {
    const url = await startSlow();
    for (let time = 0; time < 2; time += 1) expect((await post(url, inferBody([time]))).status).toBe(200);
    const { answer } = await occupy(url);
    const isOver = answer.then(() => true);
    const asked = Array.from({ length: 12 }, (_, distance) =>
      fetch(`${url}/v2/models/${MODEL}/infer`, { method: 'POST', body: inferBody([distance]) }),
    );
    expect((await post(url, inferBody([4]), {}, QUICK)).body.outputs[0]!.data).toEqual([8]);
    expect((await fetch(`${url}/v2/health/live`)).status).toBe(200);
    const answers = await Promise.all(asked);
    // About four batches may wait, however slow they are.
    const taken = answers.filter(({ status }) => status === 200);
    expect(taken.length).toBeGreaterThanOrEqual(2);
    expect(taken.length).toBeLessThanOrEqual(8);
    for (const refused of answers.filter((answer) => !taken.includes(answer))) {
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(((await refused.json()) as { code: string }).code).toBe('OVERLOADED');
    }
    expect(await isOver).toBe(true);
  });

  it('refuses a timeout or a priority that is none', async () => {
    await fixture.route(await fixture.release(linearModel(2, 0)));
    const gateway = await fixture.start();
    await ready(gateway);
    for (const parameters of [
      { timeout: -1 },
      { timeout: '5' },
      { timeout: 1.5 },
      { priority: -1 },
      { priority: 'high' },
    ])
      expect((await post(gateway.url, inferBody([1], { parameters }))).body.code).toBe('REQUEST_INVALID');
    for (const parameters of [{ timeout: 0 }, { timeout: 60_000_000 }, { priority: 1 }, { priority: 7 }])
      expect((await post(gateway.url, inferBody([1], { parameters }))).body.outputs[0]!.data).toEqual([2]);
  });
});

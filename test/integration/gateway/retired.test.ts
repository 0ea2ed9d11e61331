import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { keys } from '../../../workflows/domain/keys';
import { GatewayFixture, inferBody, MODEL, post, ready, until } from './fixture';
import { linearModel } from './models';

let fixture: GatewayFixture;
beforeEach(() => (fixture = new GatewayFixture()));
afterEach(() => fixture.dispose());

/** Takes the newest routes and the hint out of the store, as a restored backup would. */
async function goBackTo(generation: number, from: number): Promise<void> {
  for (let gone = from; gone > generation; gone -= 1)
    rmSync(join(fixture.storeRoot, keys.route(MODEL, gone)), { force: true });
  await fixture.store.put(
    keys.routeIndex,
    Buffer.from(JSON.stringify({ schema: 'slipway.route-index/1', generations: { [MODEL]: generation } })),
  );
}

async function isServed(url: string): Promise<boolean> {
  return (await post(url, inferBody([1]))).status === 200;
}

describe('I1: a model that was retired', () => {
  it('is not served again by a lower generation, by this process or the next', async () => {
    const release = await fixture.release(linearModel(1, 1));
    await fixture.route(release);
    const first = await fixture.start();
    await ready(first);
    const retired = await fixture.route(release, null, { state: 'retired', arms: [] });
    await until(async () => !(await isServed(first.url)), 'it is retired');
    await goBackTo(1, retired);
    for (let look = 0; look < 3; look += 1) await first.poll();
    expect(await isServed(first.url)).toBe(false);
    await fixture.stop(first);
    const second = await fixture.start();
    for (let look = 0; look < 3; look += 1) await second.poll();
    expect(await isServed(second.url)).toBe(false);
  });

  it('is served again by a higher generation after a restart', async () => {
    const release = await fixture.release(linearModel(1, 1));
    await fixture.route(release);
    await fixture.route(release, null, { state: 'retired', arms: [] });
    const first = await fixture.start();
    await until(async () => (await fetch(`${first.url}/v2/health/ready`)).status === 200, 'it has looked');
    await fixture.stop(first);
    const second = await fixture.start();
    expect(await fixture.route(release)).toBe(3);
    await ready(second);
    expect((await post(second.url, inferBody([1]))).body.parameters.generation).toBe(3);
  });
});

import { readFile, writeFile, chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { createTrust } from '../../../infra/signing/trust';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { GatewayHeartbeat } from '../../../workflows/domain/gateway';
import { keys } from '../../../workflows/domain/keys';
import type { ObjectStore } from '../../../infra/object-store/port';
import { testPolicy } from '../../support/workspace';
import { GatewayFixture, inferBody, MODEL, post, ready, until } from './fixture';
import { linearModel, slowModel } from './models';

let fixture: GatewayFixture;
beforeEach(() => (fixture = new GatewayFixture()));
afterEach(() => fixture.dispose());

/** A store that can be taken away. */
function losable(store: ObjectStore): ObjectStore & { isLost: boolean } {
  const lost = { isLost: false };
  return new Proxy(lost, {
    get: (target, name) => {
      if (name === 'isLost') return target.isLost;
      return (...parameters: never[]) => {
        if (target.isLost) return Promise.reject(new SlipwayError('STORE_UNAVAILABLE', 'lost by the test'));
        return (store[name as keyof ObjectStore] as (...all: never[]) => unknown)(...parameters);
      };
    },
  }) as unknown as ObjectStore & { isLost: boolean };
}

async function heartbeat(): Promise<GatewayHeartbeat> {
  return JSON.parse(Buffer.from((await fixture.store.get(keys.gateway('gateway-1')))!).toString()) as GatewayHeartbeat;
}

describe('a gateway', () => {
  it('swaps releases under load without one failed or wrong answer', async () => {
    const releases = [
      await fixture.release(linearModel(1, 1)),
      await fixture.release(linearModel(1, 2)),
      await fixture.release(linearModel(1, 3)),
    ];
    await fixture.route(releases[0]!);
    const gateway = await fixture.start({ pollMs: 50 });
    await ready(gateway);
    let isOver = false;
    const seen = new Map<number, number>();
    const load = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        const { status, body } = await post(gateway.url, inferBody([1]));
        expect([status, body.outputs?.[0]?.data[0]]).toEqual([200, 1 + Number(body.model_version)]);
        seen.set(body.parameters.generation, (seen.get(body.parameters.generation) ?? 0) + 1);
      }
    });
    for (const next of [1, 2, 0, 2, 1]) {
      const generation = await fixture.route(releases[next]!);
      await until(() => (seen.get(generation) ?? 0) > 20, `generation ${generation} serves`);
    }
    isOver = true;
    await Promise.all(load);
    expect([...seen.keys()].sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('I2: never serves a release whose bytes were changed, tells why, and stays on the generation before', async () => {
    const good = await fixture.release(linearModel(1, 1));
    const model = linearModel(1, 2);
    const bad = await fixture.release(model);
    await fixture.route(good);
    const gateway = await fixture.start();
    await ready(gateway);
    const manifest = await fixture.workspace.registry.manifest(bad);
    const path = join(fixture.storeRoot, keys.blob(manifest.onnx));
    const bytes = await readFile(path);
    bytes[bytes.length - 20]! ^= 1;
    await chmod(path, 0o644);
    await writeFile(path, bytes);
    await fixture.route(good, { release: bad, weight: 0.5 });
    await until(
      async () => (await heartbeat()).models[MODEL]?.problem?.code === 'RELEASE_TAMPERED',
      'the problem is told',
    );
    const answers = await Promise.all(Array.from({ length: 30 }, () => post(gateway.url, inferBody([1]))));
    expect(new Set(answers.map(({ body }) => `${body.parameters.generation} ${body.model_version}`))).toEqual(
      new Set(['1 1']),
    );
    const repaired = await fixture.route(good);
    await until(
      async () => (await post(gateway.url, inferBody([1]))).body.parameters.generation === repaired,
      'a good route is taken',
    );
  });

  it('does not serve a release whose samples come out different here', async () => {
    const wrong = await fixture.release(linearModel(1, 1), { rows: [{ distance: 1 }], outputs: [2.5] });
    await fixture.route(wrong);
    const gateway = await fixture.start();
    await until(
      async () => (await post(gateway.url, inferBody([1]))).body.error?.includes('MODEL_SIGNATURE') ?? false,
      'the problem is told',
    );
    const answer = await post(gateway.url, inferBody([1]));
    expect([answer.status, answer.body.code]).toEqual([503, 'MODEL_NOT_READY']);
  });

  it('I4: serves on without the store, by the champion alone once the lease of the challenger is over', async () => {
    const champion = await fixture.release(linearModel(1, 1));
    const challenger = await fixture.release(linearModel(1, 2));
    await fixture.route(champion, { release: challenger, weight: 1 });
    const store = losable(fixture.store);
    let movedMs = 0;
    const gateway = await fixture.start({ store, nowMs: () => performance.now() + movedMs });
    await ready(gateway);
    expect((await post(gateway.url, inferBody([1]))).body.model_version).toBe('2');
    (store as { isLost: boolean }).isLost = true;
    await new Promise((resolve) => setTimeout(resolve, 300));
    movedMs = 5_000;
    expect((await post(gateway.url, inferBody([1]))).body.model_version).toBe('2');
    movedMs = 10_100;
    const answer = await post(gateway.url, inferBody([1]));
    expect([answer.status, answer.body.model_version, answer.body.outputs[0]!.data]).toEqual([200, '1', [2]]);
    (store as { isLost: boolean }).isLost = false;
    await until(
      async () => (await post(gateway.url, inferBody([1]))).body.model_version === '2',
      'the challenger is back',
    );
  });

  it('starts from its own disk when the store is gone, with the champion alone', async () => {
    const champion = await fixture.release(linearModel(1, 1), { rows: [{ distance: 1 }], outputs: [2] });
    const challenger = await fixture.release(linearModel(1, 2));
    await fixture.route(champion, { release: challenger, weight: 1 });
    const first = await fixture.start();
    await ready(first);
    await fixture.stop(first);
    const store = losable(fixture.store);
    (store as { isLost: boolean }).isLost = true;
    const second = await fixture.start({ store });
    const answer = await post(second.url, inferBody([4]));
    expect([answer.status, answer.body.model_version, answer.body.outputs[0]!.data]).toEqual([200, '1', [5]]);
    expect((await fetch(`${second.url}/v2/health/ready`)).status).toBe(200);
  });

  it('I2: stops serving what it kept on disk once the key that signed it is listed as compromised', async () => {
    await fixture.route(await fixture.release(linearModel(1, 1)));
    const first = await fixture.start();
    await ready(first);
    await fixture.stop(first);
    const revoked = { at: new Date().toISOString(), reason: 'compromised' } as const;
    const second = await fixture.start({ trust: createTrust(testPolicy({}, { control: { revoked } })) });
    await until(async () => (await post(second.url, inferBody([1]))).status === 503, 'it serves no more');
    const answer = await post(second.url, inferBody([1]));
    expect([answer.body.code, answer.body.error?.includes('KEY_REVOKED')]).toEqual(['MODEL_NOT_READY', true]);
    await fixture.stop(second);
    // A leaver's key stops promotion, never serving.
    const third = await fixture.start({
      trust: createTrust(testPolicy({}, { control: { revoked: { ...revoked, reason: 'left' } } })),
    });
    await ready(third);
    expect((await post(third.url, inferBody([1]))).body.outputs[0]!.data).toEqual([2]);
  });

  it('stays live and answers others while a model takes long', async () => {
    const slow = await fixture.release(slowModel(400, 150));
    await fixture.route(slow);
    const gateway = await fixture.start();
    await ready(gateway);
    const startedMs = performance.now();
    const inference = post(gateway.url, inferBody([3])).then((answer) => ({
      answer,
      ms: performance.now() - startedMs,
    }));
    const waits: number[] = [];
    let isOver = false;
    void inference.then(() => (isOver = true));
    while (!isOver) {
      const askedMs = performance.now();
      expect((await fetch(`${gateway.url}/v2/health/live`)).status).toBe(200);
      waits.push(performance.now() - askedMs);
    }
    const { answer, ms } = await inference;
    expect(answer.body.outputs[0]!.data).toEqual([3]);
    expect(ms).toBeGreaterThan(100);
    expect(Math.max(...waits)).toBeLessThan(ms / 2);
  });

  it('I11: keeps its metric series whatever names callers send', async () => {
    const release = await fixture.release(linearModel(1, 1));
    await fixture.route(release);
    const gateway = await fixture.start();
    await ready(gateway);
    await post(gateway.url, inferBody([1]));
    await post(gateway.url, inferBody([1]), {}, 'no/such');
    const series = async (): Promise<string[]> =>
      (await (await fetch(`${gateway.url}/metrics`)).text())
        .split('\n')
        .filter((line) => line.startsWith('slipway_gateway'))
        .map((line) => line.replace(/ [^ ]+$/, ''));
    const before = await series();
    for (let index = 0; index < 300; index += 1) {
      const name = `project-${index}/${Math.random().toString(36).slice(2)}`;
      expect((await post(gateway.url, inferBody([1]), {}, name)).status).toBe(404);
    }
    expect(await series()).toEqual(before);
    expect(before.some((line) => line.includes('model="unknown"'))).toBe(true);
  });
});

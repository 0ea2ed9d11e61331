import { createRoutingActivities } from '../../../activities/routing/routing';
import { keys } from '../../../workflows/domain/keys';
import { PAYLOAD_TYPES } from '../../../workflows/domain/envelope';
import type { ReleaseRef } from '../../../workflows/domain/release';
import { canonicalBytes, digestOf } from '../../../infra/object-store/digest';
import { createSigner } from '../../../infra/signing/keys';
import { createMemoryStore, type MemoryStore } from '../../support/memory-store';
import { MODEL, publishRelease, runId } from '../../support/release-fixture';
import { routePlan } from '../../support/route-plan';
import { testKeys, testPolicy, testWorkspace, type TestWorkspace } from '../../support/workspace';

async function scene(): Promise<TestWorkspace & { memory: MemoryStore; ref: ReleaseRef }> {
  const memory = createMemoryStore();
  const workspace = testWorkspace({ store: memory });
  return { ...workspace, memory, ref: (await publishRelease(workspace)).ref };
}

describe('I1 the generation of a route only grows', () => {
  it('and a late writer loses and is told', async () => {
    const made = await scene();
    const { commitRoute } = createRoutingActivities(made);
    const first = await commitRoute(routePlan(made.ref, 0));
    expect(first.generation).toBe(1);
    await expect(commitRoute(routePlan(made.ref, 0, { intent: 'late' }))).rejects.toMatchObject({
      code: 'STORE_CONFLICT',
    });
    await expect(commitRoute(routePlan(made.ref, 4))).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
    expect((await made.reader.newest(MODEL))?.digest).toBe(first.digest);
  });

  it('and of writers that race on one generation exactly one wins', async () => {
    const made = await scene();
    const writers = Array.from({ length: 8 }, (_, index) => {
      const workspace = testWorkspace({ store: made.memory });
      return createRoutingActivities(workspace).commitRoute(routePlan(made.ref, 0, { intent: `writer-${index}` }));
    });
    const settled = await Promise.allSettled(writers);
    const winners = settled.filter((result) => result.status === 'fulfilled');
    const losers = settled.flatMap((result) =>
      result.status === 'rejected' ? [(result.reason as { code: string }).code] : [],
    );
    expect(winners).toHaveLength(1);
    expect(losers).toEqual(Array<string>(7).fill('STORE_CONFLICT'));
    expect((await made.reader.newest(MODEL))?.route.generation).toBe(1);
  });

  it('and a commit whose reply was lost finds its own route, whichever operation failed', async () => {
    const { ref, memory: origin } = await scene();
    for (const fault of ['unavailable', 'lost-reply'] as const)
      for (let failing = 0; ; failing += 1) {
        const memory = createMemoryStore(new Map(origin.objects));
        let operations = 0;
        memory.fault = () => (operations++ === failing ? fault : 'none');
        const commit = () => createRoutingActivities(testWorkspace({ store: memory })).commitRoute(routePlan(ref, 0));
        const done = await commit().catch(commit);
        memory.fault = () => 'none';
        const { reader } = testWorkspace({ store: memory });
        expect(await reader.newest(MODEL)).toMatchObject({ digest: done.digest, route: { generation: 1 } });
        expect(await reader.models()).toEqual([MODEL]);
        if (operations <= failing) break;
      }
  });

  it('and the same intent with other contents is not taken for a retry', async () => {
    const made = await scene();
    const { commitRoute } = createRoutingActivities(made);
    await commitRoute(routePlan(made.ref, 0));
    await expect(commitRoute(routePlan(made.ref, 0, { state: 'frozen' }))).rejects.toMatchObject({
      code: 'STORE_CONFLICT',
    });
  });
});

describe('the hint of newest generations', () => {
  it('is only a hint: readers find the newest route when it lags, lies, is torn or gone', async () => {
    const made = await scene();
    const { commitRoute } = createRoutingActivities(made);
    for (let generation = 0; generation < 4; generation += 1) await commitRoute(routePlan(made.ref, generation));
    const newest = async (hint: string | null, known?: number): Promise<number | undefined> => {
      if (hint === null) made.memory.objects.delete(keys.routeIndex);
      else made.memory.objects.set(keys.routeIndex, Buffer.from(hint));
      return (await testWorkspace({ store: made.memory }).reader.newest(MODEL, known))?.route.generation;
    };
    expect(await newest(JSON.stringify({ generations: { [MODEL]: 4 } }))).toBe(4);
    expect(await newest(JSON.stringify({ generations: { [MODEL]: 2 } }))).toBe(4);
    expect(await newest(JSON.stringify({ generations: { [MODEL]: 99 } }), 3)).toBe(4);
    expect(await newest('{"generations": {"fl')).toBe(4);
    expect(await newest(null, 2)).toBe(4);
  });

  it('costs a reader that knows nothing a handful of looks where it is too high, however many routes there are', async () => {
    const made = await scene();
    const { commitRoute } = createRoutingActivities(made);
    for (let generation = 0; generation < 40; generation += 1) await commitRoute(routePlan(made.ref, generation));
    made.memory.objects.set(
      keys.routeIndex,
      Buffer.from(JSON.stringify({ generations: { [MODEL]: 999_999_999_999 } })),
    );
    const looks = async (known: number): Promise<number> => {
      const { reader } = testWorkspace({ store: made.memory });
      const before = made.memory.counts.get;
      expect((await reader.newest(MODEL, known))?.route.generation).toBe(40);
      return made.memory.counts.get - before;
    };
    expect(await looks(0)).toBeLessThan(30);
    expect(await looks(40)).toBeLessThan(10);
  });

  it('is lowered by a commit and by a recovery where it names no route, keeps a later one that is there, and other models', async () => {
    const made = await scene();
    const { commitRoute, recoverDeployment } = createRoutingActivities(made);
    const hintAfter = async (hint: number, change: () => Promise<unknown>): Promise<unknown> => {
      const generations = { [MODEL]: hint, 'retail/demand': 3 };
      made.memory.objects.set(keys.routeIndex, Buffer.from(JSON.stringify({ generations })));
      await change();
      return JSON.parse(Buffer.from(made.memory.objects.get(keys.routeIndex)!).toString());
    };
    const first = routePlan(made.ref, 0);
    expect(await hintAfter(7, () => commitRoute(first))).toEqual({ generations: { [MODEL]: 1, 'retail/demand': 3 } });
    await commitRoute(routePlan(made.ref, 1));
    // The retry of a commit that somebody else has followed since.
    expect(await hintAfter(2, () => commitRoute(first))).toEqual({ generations: { [MODEL]: 2, 'retail/demand': 3 } });
    const recovered = () => recoverDeployment({ model: MODEL });
    expect(await hintAfter(7, recovered)).toEqual({ generations: { [MODEL]: 2, 'retail/demand': 3 } });
    expect(await hintAfter(1, recovered)).toEqual({ generations: { [MODEL]: 2, 'retail/demand': 3 } });
  });

  it('says that a model without a route has none', async () => {
    expect(await testWorkspace().reader.newest('retail/nothing')).toBeNull();
    expect(await testWorkspace().reader.models()).toEqual([]);
  });
});

describe('I7 a reader refuses a route', () => {
  /** Commits two routes, changes the store, reads with a new reader. */
  async function read(
    change: (made: Awaited<ReturnType<typeof scene>>) => void | Promise<void>,
    policy = testPolicy(),
  ): Promise<string> {
    const made = await scene();
    const { commitRoute } = createRoutingActivities(made);
    await commitRoute(routePlan(made.ref, 0));
    await commitRoute(routePlan(made.ref, 1));
    await change(made);
    return testWorkspace({ store: made.memory, policy })
      .reader.newest(MODEL)
      .then(
        (stored) => `generation ${stored?.route.generation}`,
        (error: { code: string }) => error.code,
      );
  }

  it('accepts one that nobody touched', async () => {
    expect(await read(() => undefined)).toBe('generation 2');
  });

  it('whose entry is gone or was changed', async () => {
    const last = async ({ audit }: TestWorkspace): Promise<string> =>
      keys.auditEntry(MODEL, (await audit.head(MODEL))!.sequence);
    expect(await read(async (made) => void made.memory.objects.delete(await last(made)))).toBe('AUDIT_BROKEN');
    expect(
      await read(async (made) => {
        const key = await last(made);
        const entry = JSON.parse(Buffer.from(made.memory.objects.get(key)!).toString()) as object;
        made.memory.objects.set(key, canonicalBytes({ ...entry, actor: 'person:eve' }));
      }),
    ).toBe('AUDIT_BROKEN');
  });

  it('that the control key signed without an entry of its own', async () => {
    expect(
      await read(async ({ memory, reader, signer }) => {
        const { route, digest } = (await reader.at(MODEL, 2))!;
        const forged = { ...route, generation: 3, previous: digest, intent: 'unannounced' };
        memory.objects.set(keys.route(MODEL, 3), canonicalBytes(signer.sign(PAYLOAD_TYPES.route, forged)));
      }),
    ).toBe('AUDIT_BROKEN');
  });

  it('that another key signed, or of which a byte was changed', async () => {
    expect(
      await read(async ({ memory, reader }) => {
        const { route } = (await reader.at(MODEL, 2))!;
        memory.objects.set(
          keys.route(MODEL, 2),
          canonicalBytes(createSigner(testKeys.developer).sign(PAYLOAD_TYPES.route, route)),
        );
      }),
    ).toBe('ROLE_MISSING');
    expect(
      await read(({ memory }) => {
        const bytes = memory.objects.get(keys.route(MODEL, 2))!;
        bytes[Math.floor(bytes.length / 2)]! ^= 1;
      }),
    ).toBe('SIGNATURE_INVALID');
  });

  it('that does not follow the route before it', async () => {
    expect(
      await read(({ memory }) => {
        memory.objects.delete(keys.route(MODEL, 1));
      }),
    ).toBe('AUDIT_BROKEN');
  });

  it('of another workspace', async () => {
    expect(await read(() => undefined, testPolicy({ workspace: 'prod' }))).toBe('WORKSPACE_MISMATCH');
  });

  it('for a compromised control key, and not for one that expired after it signed', async () => {
    expect(await read(() => undefined, testPolicy({}, { control: { expiresAt: '2001-03-02T00:00:00.000Z' } }))).toBe(
      'generation 2',
    );
    expect(
      await read(
        () => undefined,
        testPolicy({}, { control: { revoked: { at: '2001-03-02T00:00:00.000Z', reason: 'compromised' } } }),
      ),
    ).toBe('KEY_REVOKED');
  });

  it('that was there and is gone', async () => {
    const made = await scene();
    await createRoutingActivities(made).commitRoute(routePlan(made.ref, 0));
    made.memory.objects.delete(keys.route(MODEL, 1));
    await expect(testWorkspace({ store: made.memory }).reader.newest(MODEL, 1)).rejects.toMatchObject({
      code: 'AUDIT_BROKEN',
    });
  });
});

describe('I7 a commit of a route', () => {
  it('has its intent in the log before the route is there', async () => {
    const made = await scene();
    const seen: string[] = [];
    made.memory.fault = (operation, key) => {
      if (operation === 'create') seen.push(key.split('/')[0]!);
      return 'none';
    };
    await createRoutingActivities(made).commitRoute(
      routePlan(made.ref, 0, { reason: 'first release', actor: 'person:ana' }),
    );
    expect(seen).toEqual(['audit', 'routes']);
    const route = (await made.reader.at(MODEL, 1))!.route;
    expect(await made.audit.find(MODEL, route.audit)).toMatchObject({
      kind: 'route.intended',
      actor: 'person:ana',
      data: { generation: 1, reason: 'first release' },
    });
  });

  it('I2 refuses a release that the route before did not serve and that does not verify', async () => {
    const made = await scene();
    const { commitRoute } = createRoutingActivities(made);
    const pending = await publishRelease(made, { run: runId(2), approvers: [testKeys.ana] });
    await commitRoute(routePlan(made.ref, 0));
    const canary = routePlan(made.ref, 1, {
      arms: [
        { name: 'champion', release: made.ref, weight: 0.9 },
        { name: 'challenger', release: pending.ref, weight: 0.1 },
      ],
    });
    await expect(commitRoute(canary)).rejects.toMatchObject({ code: 'RELEASE_UNAPPROVED' });
    const shadow = routePlan(made.ref, 1, {
      shadows: [{ name: 's', release: { ...made.ref, version: 9, digest: digestOf(Buffer.from('x')) }, sample: 1 }],
    });
    await expect(commitRoute(shadow)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await made.reader.newest(MODEL))?.route.generation).toBe(1);
  });
});

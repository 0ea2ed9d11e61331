import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRoutingActivities, type RoutingActivities } from '../../../activities/routing/routing';
import type { RoutePlan } from '../../../workflows/deployment.activities';
import { keys } from '../../../workflows/domain/keys';
import type { ReleaseRef } from '../../../workflows/domain/release';
import type { ModelHistory } from '../../../infra/audit/history';
import { readHistory } from '../../../infra/audit/history';
import { servedAt, servedBy } from '../../../infra/audit/served-at';
import { findRequest } from '../../../infra/predictions/find-request';
import { createMemoryStore, type MemoryStore } from '../../support/memory-store';
import { writePredictions } from '../../support/prediction-parts';
import { approve, MODEL, publishRelease, runId, sampleSpec } from '../../support/release-fixture';
import { routePlan } from '../../support/route-plan';
import { testKeys, testPolicy, testWorkspace, type TestWorkspace } from '../../support/workspace';

interface Scene extends TestWorkspace {
  readonly memory: MemoryStore;
  readonly activities: RoutingActivities;
  readonly first: ReleaseRef;
  readonly second: ReleaseRef;
  /** Commits on the newest generation; returns the generation made. */
  readonly serve: (champion: ReleaseRef, changes?: Partial<RoutePlan>) => Promise<number>;
}

async function scene(): Promise<Scene> {
  const memory = createMemoryStore();
  const workspace = testWorkspace({ store: memory });
  const activities = createRoutingActivities(workspace);
  const { ref: first } = await publishRelease(workspace, { run: runId(1) });
  const { ref: second } = await publishRelease(workspace, { run: runId(2) });
  const serve: Scene['serve'] = async (champion, changes = {}) => {
    const { generation } = await activities.recoverDeployment({ model: MODEL });
    const done = await activities.commitRoute(routePlan(champion, generation, changes));
    return done.generation;
  };
  return { ...workspace, memory, activities, first, second, serve };
}

function canary(champion: ReleaseRef, challenger: ReleaseRef, weight: number, step = 0): Partial<RoutePlan> {
  return {
    arms: [
      { name: 'champion', release: champion, weight: 1 - weight },
      { name: 'challenger', release: challenger, weight },
    ],
    paired: true,
    rollout: { id: 'rollout-2-2', step },
  };
}

describe('a deployment is recovered from the store', () => {
  it('as empty when the model was never deployed', async () => {
    const { activities } = await scene();
    expect(await activities.recoverDeployment({ model: MODEL })).toEqual({
      generation: 0,
      champion: null,
      previousChampion: null,
      state: 'serving',
      unfinished: null,
    });
  });

  it('with champion, the one before, and state', async () => {
    const { activities, serve, first, second } = await scene();
    await serve(first);
    await serve(first, canary(first, second, 0.1));
    await serve(second, { state: 'frozen' });
    expect(await activities.recoverDeployment({ model: MODEL })).toEqual({
      generation: 3,
      champion: second,
      previousChampion: first,
      state: 'frozen',
      unfinished: null,
    });
    await serve(first);
    expect(await activities.recoverDeployment({ model: MODEL })).toMatchObject({
      generation: 4,
      champion: first,
      previousChampion: null,
    });
  });

  it('with the rollout that its lost workflow left unfinished, audited once', async () => {
    const { activities, serve, first, second, audit } = await scene();
    await serve(first);
    await serve(first, canary(first, second, 0.1));
    for (let attempt = 0; attempt < 2; attempt += 1)
      expect((await activities.recoverDeployment({ model: MODEL })).unfinished).toEqual({
        id: 'rollout-2-2',
        release: second,
        run: runId(2),
      });
    const head = (await audit.head(MODEL))!;
    expect(await audit.find(MODEL, head)).toMatchObject({ kind: 'deployment.recovered', data: { generation: 2 } });
  });

  it('without a rollout whose end was recorded after its last route', async () => {
    const { activities, serve, first, second } = await scene();
    const ended = {
      model: MODEL,
      rollout: 'rollout-2-2',
      release: second,
      event: 'ended',
      outcome: 'aborted',
      detail: 'as it was',
      verdicts: [],
      evidence: [],
    } as const;
    await serve(first);
    await activities.recordRollout(ended);
    await serve(first, canary(first, second, 0.1));
    expect((await activities.recoverDeployment({ model: MODEL })).unfinished?.id).toBe('rollout-2-2');
    await activities.recordRollout({ ...ended, detail: 'this time' });
    expect((await activities.recoverDeployment({ model: MODEL })).unfinished).toBeNull();
  });

  it('and puts the hint right that another writer lowered or lost', async () => {
    const { activities, serve, first, memory } = await scene();
    await serve(first);
    memory.objects.delete(keys.routeIndex);
    await activities.recoverDeployment({ model: MODEL });
    expect(JSON.parse(Buffer.from(memory.objects.get(keys.routeIndex)!).toString())).toEqual({
      generations: { [MODEL]: 1 },
    });
  });
});

describe('I2 a rollout is prepared', () => {
  it('for a release that may be promoted now, with the rollout of its spec', async () => {
    const { activities, second, first } = await scene();
    const prepared = await activities.prepareRollout({ release: second, run: runId(2), champion: first, attempt: 5 });
    expect(prepared).toEqual({
      accepted: true,
      rollout: { id: 'rollout-2-5', release: second, run: runId(2), spec: sampleSpec().rollout, clock: 'event' },
      assignment: { source: 'parameter', name: 'assignment_key' },
    });
  });

  it('not for one without its approvals, of another run, or that serves already', async () => {
    const made = await scene();
    const pending = await publishRelease(made, { run: runId(3), approvers: [testKeys.ana] });
    const prepare = async (
      release: ReleaseRef,
      run: string | null,
      champion: ReleaseRef | null = null,
    ): Promise<string> => {
      const prepared = await made.activities.prepareRollout({ release, run, champion, attempt: 1 });
      return prepared.accepted ? 'accepted' : prepared.code;
    };
    expect(await prepare(pending.ref, runId(3))).toBe('RELEASE_UNAPPROVED');
    await approve(made, pending, testKeys.ben);
    expect(await prepare(pending.ref, runId(3))).toBe('accepted');
    expect(await prepare(pending.ref, runId(1))).toBe('COMMAND_REFUSED');
    expect(await prepare(made.first, null, made.first)).toBe('COMMAND_REFUSED');
    expect(await prepare({ ...made.first, version: 9 }, null)).toBe('NOT_FOUND');
  });

  it('not for one whose approver has left since, which may still serve and be rolled back to', async () => {
    const made = await scene();
    const left = { revoked: { at: '2001-03-02T00:00:00.000Z', reason: 'left' as const } };
    const later = testWorkspace({ store: made.memory, policy: testPolicy({}, { ben: left }) });
    later.clock.now = new Date('2001-03-03T00:00:00.000Z');
    const activities = createRoutingActivities(later);
    expect(
      await activities.prepareRollout({ release: made.first, run: null, champion: null, attempt: 1 }),
    ).toMatchObject({ accepted: false, code: 'KEY_REVOKED' });
    expect(await activities.verifyServable({ release: made.first })).toEqual({ ok: true });
  });

  it('and what a store that does not answer hides is no verdict on a release', async () => {
    const { activities, memory, first } = await scene();
    memory.fault = () => 'unavailable';
    await expect(activities.verifyServable({ release: first })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });
});

describe('a committed route', () => {
  it('takes salt from its rollout, assignment and clock from what it serves, and leases the challenger for ten seconds', async () => {
    const { serve, reader, first, second } = await scene();
    await serve(first);
    await serve(first, canary(first, second, 0.1));
    await serve(first, canary(first, second, 0.5, 1));
    const [two, three] = await Promise.all([reader.at(MODEL, 2), reader.at(MODEL, 3)]);
    expect(two?.route).toMatchObject({
      salt: 'rollout-2-2',
      clock: 'event',
      challengerLeaseMs: 10_000,
      assignment: { source: 'parameter', name: 'assignment_key' },
    });
    expect(three?.route.salt).toBe(two?.route.salt);
    expect(three?.route.previous).toBe(two?.digest);
  });

  it('I2: brings no retired model back whose key was compromised while it was retired', async () => {
    const { memory, serve, first } = await scene();
    await serve(first);
    await serve(first, { state: 'retired' });
    const compromised = { revoked: { at: '2001-02-01T00:00:00.000Z', reason: 'compromised' as const } };
    const later = testWorkspace({ store: memory, policy: testPolicy({}, { ben: compromised }) });
    later.clock.now = new Date('2001-03-03T00:00:00.000Z');
    const { commitRoute } = createRoutingActivities(later);
    await expect(commitRoute(routePlan(first, 2))).rejects.toMatchObject({ code: 'KEY_REVOKED' });
    expect((await later.reader.newest(MODEL))?.route).toMatchObject({ generation: 2, state: 'retired' });
  });
});

describe('I4 a rollback', () => {
  it('needs no training, data or compute: it is verified and committed by a few calls of the store, however long the history', async () => {
    const { memory, reader, first, second } = await scene();
    const { commitRoute } = createRoutingActivities(testWorkspace({ store: memory }));
    for (let generation = 0; generation < 12; generation += 1)
      await commitRoute(routePlan(generation % 2 ? second : first, generation));
    const calls = (): number => Object.values(memory.counts).reduce((sum, count) => sum + count, 0);
    const before = calls();
    // A control worker that has just started: it knows nothing yet.
    const fresh = createRoutingActivities(testWorkspace({ store: memory }));
    const { generation, previousChampion } = await fresh.recoverDeployment({ model: MODEL });
    expect(await fresh.verifyServable({ release: first })).toEqual({ ok: true });
    const done = await fresh.commitRoute(routePlan(first, generation));
    expect(done.generation).toBe(13);
    expect(calls() - before).toBeLessThan(100);
    expect(previousChampion).toEqual(first);
    expect((await reader.newest(MODEL))?.route.generation).toBe(13);
  });
});

describe('the history of a model', () => {
  /** Serves `first`, then a canary of `second`, then `second`, a wall-clock minute apart while requests pass in event time. */
  async function told(): Promise<Scene & { history: ModelHistory }> {
    const made = await scene();
    const observe = (generation: number, watermark: string): void => {
      const document = { schema: 'slipway.observation/1', watermarkMs: Date.parse(watermark) };
      made.memory.objects.set(keys.observation(MODEL, generation, 'g1'), Buffer.from(JSON.stringify(document)));
      made.memory.objects.set(
        keys.observation(MODEL, generation, 'g2'),
        Buffer.from(JSON.stringify({ ...document, watermarkMs: null })),
      );
      made.memory.objects.set(
        keys.breakerEvent(MODEL, generation, 'g1'),
        Buffer.from('{"schema":"slipway.breaker/1"}'),
      );
    };
    made.clock.now = new Date('2026-01-01T10:00:00.000Z');
    await made.serve(made.first);
    observe(1, '2001-03-10T12:00:00.000Z');
    made.clock.now = new Date('2026-01-01T10:01:00.000Z');
    await made.serve(made.first, canary(made.first, made.second, 0.1));
    observe(2, '2001-03-15T00:00:00.000Z');
    made.clock.now = new Date('2026-01-01T10:02:00.000Z');
    await made.serve(made.second, { reason: 'promoted', actor: 'person:developer' });
    return { ...made, history: await readHistory(made.store, MODEL) };
  }

  it('names the routes with the times they held for, in wall and in event time', async () => {
    const { history } = await told();
    expect(
      history.routes.map(({ from, until, eventFrom, eventUntil }) => [from, until, eventFrom, eventUntil]),
    ).toEqual([
      ['2026-01-01T10:00:00.000Z', '2026-01-01T10:01:00.000Z', null, '2001-03-10T12:00:00.000Z'],
      ['2026-01-01T10:01:00.000Z', '2026-01-01T10:02:00.000Z', '2001-03-10T12:00:00.000Z', '2001-03-15T00:00:00.000Z'],
      ['2026-01-01T10:02:00.000Z', null, '2001-03-15T00:00:00.000Z', null],
    ]);
    expect(history.routes[2]).toMatchObject({ reason: 'promoted', actor: 'person:developer' });
  });

  it('says what served at an instant, who approved it and on what evidence', async () => {
    const { store, trust, first, second } = await told();
    const at = async (instant: string, clock: 'wall' | 'event') => {
      const served = await servedAt(store, trust, MODEL, new Date(instant), { clock });
      return (
        served && [
          served.route.generation,
          served.champion?.release.version,
          served.challenger?.release.version ?? null,
          served.challenger?.weight ?? null,
        ]
      );
    };
    expect(await at('2026-01-01T09:59:59.999Z', 'wall')).toBeNull();
    expect(await at('2026-01-01T10:00:00.000Z', 'wall')).toEqual([1, first.version, null, null]);
    expect(await at('2026-01-01T10:01:30.000Z', 'wall')).toEqual([2, first.version, second.version, 0.1]);
    expect(await at('2001-03-01T00:00:00.000Z', 'event')).toEqual([1, first.version, null, null]);
    expect(await at('2001-03-12T00:00:00.000Z', 'event')).toEqual([2, first.version, second.version, 0.1]);
    expect(await at('2001-03-20T00:00:00.000Z', 'event')).toEqual([3, second.version, null, null]);
    const served = await servedAt(store, trust, MODEL, new Date('2001-03-20'), { clock: 'event' });
    expect(served?.champion).toMatchObject({
      run: runId(2),
      startedBy: 'person:developer',
      approvalsRequired: 2,
      approvals: [{ person: 'person:ana', comment: 'looks right' }, { person: 'person:ben' }],
      gates: [{ gate: 'auc', outcome: 'pass', value: 0.67 }],
    });
  });

  it('says of one request which release answered it, by which route and approvals', async () => {
    const { store, trust, first, second } = await told();
    const folder = await mkdtemp(join(tmpdir(), 'slipway-find-request-'));
    try {
      const answer = { event_ms: Date.parse('2001-03-12T08:00:00Z'), generation: 2 };
      await writePredictions(store, MODEL, 'gateway-1', [
        { ...answer, request_id: 'f-1', score: 0.25, release: first.version, 'x.distance': 733 },
        { ...answer, request_id: "o'hare", score: 0.75, release: second.version, arm: 'challenger' },
      ]);
      await writePredictions(store, MODEL, 'gateway-2', [
        { ...answer, request_id: 'f-1', score: 0.9, event_ms: answer.event_ms + 1_000, generation: 3 },
      ]);
      const [found, ...more] = await findRequest(store, folder, MODEL, 'f-1', null);
      expect(more).toEqual([]);
      expect(found).toMatchObject({
        score: 0.25,
        release: first.version,
        generation: 2,
        eventTime: '2001-03-12T08:00:00.000Z',
        inputs: { distance: 733, origin: null },
      });
      expect(await findRequest(store, folder, MODEL, "o'hare", '2001-03-12')).toMatchObject([{ arm: 'challenger' }]);
      expect(await findRequest(store, folder, MODEL, 'f-1', '2001-03-13')).toEqual([]);
      const served = await servedBy(store, trust, MODEL, found!.generation);
      expect(served?.challenger).toMatchObject({
        run: runId(2),
        approvals: [{ person: 'person:ana' }, { person: 'person:ben' }],
      });
      expect(await servedBy(store, trust, MODEL, 9)).toBeNull();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('is refused when the route it would tell of was changed', async () => {
    const { memory, store, trust } = await told();
    const bytes = memory.objects.get(keys.route(MODEL, 3))!;
    bytes[200]! ^= 1;
    await expect(servedAt(store, trust, MODEL, new Date('2026-02-01'))).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
    });
  });
});

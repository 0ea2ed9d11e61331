import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { workflowIds } from '../../workflows/domain/names';
import type { DeploymentStatus } from '../../workflows/deployment.messages';
import {
  canaryReport,
  DAY_MS,
  type FakeWorld,
  qualityReport,
  releaseRef,
  ROLLOUT_SPEC,
  untilCancelled,
} from '../support/fake-world';
import { startTimeSkipping } from '../support/time-skipping';
import { eventually, WorkflowBench } from '../support/workflow-bench';

let env: TestWorkflowEnvironment;
let bench: WorkflowBench;

beforeAll(async () => {
  env = await startTimeSkipping();
  bench = new WorkflowBench(env);
  await bench.startWorkers();
}, 60_000);

afterAll(async () => {
  await bench?.stopWorkers();
  await env?.teardown();
});

const QUALITY = { metric: 'logLoss', require: 'better', margin: 0, alpha: 0.05, minDays: 3 } as const;

/** A deployment whose champion is release 2, which followed release 1. */
async function deployed(script: (world: FakeWorld) => void = () => undefined): Promise<FakeWorld> {
  const world = bench.world();
  world.serve(1, 2);
  script(world);
  await bench.startDeployment(world.model);
  return world;
}

const ended = (world: FakeWorld): Promise<string[]> =>
  eventually(
    () => world.outcomes,
    (outcomes) => outcomes.length > 0,
  );
const status = (world: FakeWorld): Promise<DeploymentStatus> => bench.deploymentStatus(world.model);
const watching = (world: FakeWorld, step = 0): Promise<DeploymentStatus> =>
  eventually(
    () => status(world),
    ({ rollout }) => rollout?.step === step && world.calls.includes('watchCanary'),
  );
const shares = (world: FakeWorld): number[] =>
  world.routes.slice(2).map((plan) => plan.arms.find((arm) => arm.name === 'challenger')?.weight ?? 0);
const alone = (version: number): Record<string, [number, number]> => ({ champion: [version, 1] });

it('waits for weeks in the same run, without a timer', async () => {
  const world = await deployed();
  await env.sleep(60 * DAY_MS);
  expect((await status(world)).champion).toEqual(releaseRef(world.model, 2));
  expect(world.calls).toEqual(['recoverDeployment']);
});

describe('rollout', () => {
  it('shifts traffic step by step, bakes, and promotes what passed', async () => {
    const world = await deployed();
    expect(await bench.release(releaseRef(world.model, 3))).toEqual({
      accepted: true,
      detail: 'rollout of release 3 begins',
    });
    expect(await ended(world)).toEqual(['promoted']);
    expect(shares(world)).toEqual([0.1, 0.5, 1, 0]);
    expect(world.served).toMatchObject({ generation: 6, arms: alone(3), state: 'serving' });
    expect(world.rolloutEvents.map((event) => event.event)).toEqual(['started', 'judged', 'judged', 'judged', 'ended']);
  });

  it('gives a first release everything at once', async () => {
    const world = bench.world();
    await bench.startDeployment(world.model);
    await bench.release(releaseRef(world.model, 1));
    expect(await ended(world)).toEqual(['promoted']);
    expect(world.served).toMatchObject({ generation: 1, arms: alone(1) });
    expect(world.calls).not.toContain('watchCanary');
  });

  it('lets a first release mirror traffic until an operator promotes it, when the spec says shadow', async () => {
    const world = bench.world();
    world.script.rollout = { ...ROLLOUT_SPEC, bootstrap: 'shadow' };
    await bench.startDeployment(world.model);
    await bench.release(releaseRef(world.model, 1));
    await eventually(
      () => status(world),
      ({ rollout }) => rollout?.waitsFor !== null && rollout !== null,
    );
    expect(world.routes[0]).toMatchObject({ arms: [], state: 'retired', shadows: [{ sample: 1 }] });
    expect(await bench.command(world.model, 'promoteNow')).toMatchObject({ accepted: true });
    expect(await ended(world)).toEqual(['promoted']);
    expect(world.served).toMatchObject({ arms: alone(1), state: 'serving' });
  });

  it.each([
    ['errors that fail', () => canaryReport('fail'), 'rolled-back'],
    ['a breaker, whatever the verdicts say', () => canaryReport('pass', { reason: 'breaker' }), 'rolled-back'],
    [
      'I5: a canary without traffic, after its extension',
      () => canaryReport('inconclusive', { verdicts: [] }),
      'inconclusive',
    ],
    ['a verdict that stays open, after its extension', () => canaryReport('inconclusive'), 'inconclusive'],
  ] as const)('takes the challenger back for %s', async (_, report, outcome) => {
    const world = await deployed(({ script }) => (script.canary = report));
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual([outcome]);
    expect(world.served).toMatchObject({ generation: 4, arms: alone(2) });
    const watches = world.calls.filter((call) => call === 'watchCanary').length;
    expect(watches).toBe(outcome === 'inconclusive' ? 2 : 1);
  });

  it('fails in a later step, and has the verdicts recorded before the traffic goes back', async () => {
    const world = await deployed(
      ({ script }) => (script.canary = ({ step }) => canaryReport(step === 1 ? 'fail' : 'pass')),
    );
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['rolled-back']);
    expect(shares(world)).toEqual([0.1, 0.5, 0]);
    const last = world.calls.slice(world.calls.lastIndexOf('watchCanary') + 1);
    expect(last.slice(0, 3)).toEqual(['recordRollout', 'commitRoute', 'recordRollout']);
  });

  it('gives a watch the generations, the start and the extension of its step', async () => {
    const seen: object[] = [];
    const world = await deployed(({ script }) => {
      script.canary = (input, watched) => {
        seen.push({
          step: input.step,
          generations: input.generations,
          extension: input.extension,
          eventStartMs: input.eventStartMs,
          lengthMs: input.endsAtMs - input.startedAtMs,
        });
        return canaryReport(input.step === 0 && watched === 0 ? 'inconclusive' : 'pass');
      };
    });
    await bench.release(releaseRef(world.model, 3));
    await ended(world);
    const eventStartMs = Date.parse('2001-03-20T00:00:00Z');
    expect(seen).toEqual([
      { step: 0, generations: [3], extension: 0, eventStartMs: null, lengthMs: 60_000 },
      { step: 0, generations: [3], extension: 1, eventStartMs: null, lengthMs: 120_000 },
      { step: 1, generations: [3, 4], extension: 0, eventStartMs, lengthMs: 60_000 },
      { step: 2, generations: [3, 4, 5], extension: 0, eventStartMs, lengthMs: 60_000 },
    ]);
  });
});

describe('paired quality', () => {
  const withQuality = (world: FakeWorld): void => {
    world.script.rollout = { ...ROLLOUT_SPEC, quality: QUALITY };
    // Long enough for quality to begin: this server forgets to end an activity that is cancelled before it began.
    world.script.canary = () => later(canaryReport('pass'));
  };
  const later = async <T>(value: T): Promise<T> => new Promise((resolve) => setTimeout(() => resolve(value), 300));

  it('takes the challenger back as soon as quality fails, while the canary still looks', async () => {
    const world = await deployed((it) => {
      withQuality(it);
      it.script.canary = untilCancelled;
      it.script.quality = () => qualityReport('fail');
    });
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['rolled-back']);
    expect(world.served.arms).toEqual(alone(2));
    expect(world.rolloutEvents.at(-1)!.detail).toContain('quality fail');
  });

  it('settles quality once for the whole rollout', async () => {
    const world = await deployed(withQuality);
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['promoted']);
    expect(world.calls.filter((call) => call === 'watchQuality')).toHaveLength(1);
  });

  it('asks for quality in the last step before the bake only, extends it, and ends inconclusive', async () => {
    const world = await deployed((it) => {
      withQuality(it);
      it.script.quality = () => qualityReport('inconclusive');
    });
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['inconclusive']);
    expect(shares(world)).toEqual([0.1, 0.5, 0]);
    expect(world.calls.filter((call) => call === 'watchCanary')).toHaveLength(3);
  });

  it('hears the last word of a quality watch that was still looking when the step was over', async () => {
    const world = await deployed((it) => {
      withQuality(it);
      it.script.quality = () => untilCancelled().catch(() => qualityReport('pass'));
    });
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['promoted']);
  });

  it('I5: counts quality that could not be judged as open, not as good', async () => {
    const world = await deployed((it) => {
      withQuality(it);
      it.script.quality = () => {
        throw ApplicationFailure.nonRetryable('no labels', 'DATA_UNREADABLE');
      };
    });
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['inconclusive']);
  });
});

describe('commands during a rollout', () => {
  const looking = (): Promise<FakeWorld> => deployed(({ script }) => (script.canary = untilCancelled));

  it('rolls back: ends the watch, serves the exact previous release, and tells who did it', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await watching(world);
    const receipt = await bench.command(world.model, 'rollback', { reason: 'scores look odd' });
    expect(receipt).toEqual({ accepted: true, detail: 'release 2 serves alone, generation 4' });
    expect(world.served).toMatchObject({ generation: 4, arms: alone(2) });
    expect(world.routes[3]).toMatchObject({
      actor: 'person:olga',
      reason: 'rolled-back: rollback by person:olga: scores look odd',
    });
    expect(await ended(world)).toEqual(['rolled-back']);
  });

  it('aborts the release that is named, and no other', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await watching(world);
    const other = await bench.command(world.model, 'abort', { release: releaseRef(world.model, 9) });
    expect(other).toMatchObject({ accepted: false, code: 'COMMAND_REFUSED' });
    await bench.command(world.model, 'abort', { release: releaseRef(world.model, 3) });
    expect(world.outcomes).toEqual(['aborted']);
    expect(world.served.arms).toEqual(alone(2));
  });

  it('takes a release that waits out of the queue, and one that arrives after its own abort is refused', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await watching(world);
    expect(await bench.release(releaseRef(world.model, 4))).toEqual({
      accepted: true,
      detail: 'release 4 waits behind 1',
    });
    expect((await status(world)).queued).toEqual([releaseRef(world.model, 4)]);
    await bench.command(world.model, 'abort', { release: releaseRef(world.model, 4) });
    expect((await status(world)).queued).toEqual([]);
    await bench.command(world.model, 'abort', { release: releaseRef(world.model, 5) });
    expect(await bench.release(releaseRef(world.model, 5))).toMatchObject({ accepted: false });
  });

  it('pauses at a step without ending its watch, and goes on after resume', async () => {
    const holds: (boolean | undefined)[] = [];
    const world = await deployed(({ script }) => {
      script.canary = async (input) => {
        holds.push(input.hold);
        if (input.hold) return untilCancelled();
        await new Promise((resolve) => setTimeout(resolve, input.step === 0 ? 500 : 0));
        return canaryReport('pass');
      };
    });
    await bench.release(releaseRef(world.model, 3));
    await watching(world);
    await bench.command(world.model, 'pause');
    await eventually(
      () => holds,
      (seen) => seen.includes(true),
    );
    expect((await status(world)).rollout).toMatchObject({ step: 0, paused: true });
    await bench.command(world.model, 'resume');
    expect(await ended(world)).toEqual(['promoted']);
  });

  it('takes a paused challenger back when it fails', async () => {
    const world = await deployed(({ script }) => {
      script.canary = async (input) => {
        if (input.hold) return canaryReport('fail');
        await new Promise((resolve) => setTimeout(resolve, 500));
        return canaryReport('pass');
      };
    });
    await bench.release(releaseRef(world.model, 3));
    await watching(world);
    await bench.command(world.model, 'pause');
    expect(await ended(world)).toEqual(['rolled-back']);
  });

  it('skips a step, and promotes at once, when an operator says so', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await watching(world);
    await bench.command(world.model, 'skipStep');
    await watching(world, 1);
    expect(shares(world)).toEqual([0.1, 0.5]);
    await bench.command(world.model, 'promoteNow');
    expect(await ended(world)).toEqual(['promoted']);
    expect(shares(world)).toEqual([0.1, 0.5, 0]);
    expect(world.served.arms).toEqual(alone(3));
  });

  it('freezes: ends the rollout, lets releases wait, allows a rollback, and goes on after unfreeze', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await watching(world);
    await bench.command(world.model, 'freeze');
    expect(world.outcomes).toEqual(['aborted']);
    expect(world.served).toMatchObject({ arms: alone(2), state: 'frozen' });
    expect(await bench.release(releaseRef(world.model, 4))).toEqual({
      accepted: true,
      detail: 'release 4 waits until unfreeze',
    });
    await bench.command(world.model, 'rollback');
    expect(world.served).toMatchObject({ arms: alone(1), state: 'frozen' });
    world.script.canary = () => canaryReport('pass');
    await bench.command(world.model, 'unfreeze');
    await eventually(
      () => world.outcomes,
      (outcomes) => outcomes.length === 2,
    );
    expect(world.served).toMatchObject({ arms: alone(4), state: 'serving' });
  });

  it('diverts to a release that served before, after checking that it still may', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await watching(world);
    await bench.command(world.model, 'divert', { release: releaseRef(world.model, 1) });
    expect(world.served.arms).toEqual(alone(1));
    world.script.refusedRelease = 2;
    const refused = await bench.command(world.model, 'divert', { release: releaseRef(world.model, 2) });
    expect(refused).toMatchObject({ accepted: false, code: 'KEY_REVOKED' });
    expect(world.served.arms).toEqual(alone(1));
  });

  it('refuses what cannot be: a stranger, a missing rollout, a run command, a retired model', async () => {
    const world = await deployed();
    const answers = [
      await bench.command(world.model, 'rollback', {}, 'id-1', 'person:stranger'),
      await bench.command(world.model, 'pause'),
      await bench.command(world.model, 'cancelRun'),
      await bench.command(world.model, 'divert', { release: { model: 'other/model', version: 1, digest: 'x' } }),
    ];
    expect(answers.map((answer) => (answer.accepted ? 'accepted' : answer.code))).toEqual([
      'KEY_UNKNOWN',
      'COMMAND_REFUSED',
      'COMMAND_REFUSED',
      'COMMAND_REFUSED',
    ]);
    await bench.command(world.model, 'retire');
    expect(await bench.release(releaseRef(world.model, 3))).toMatchObject({ accepted: false });
    expect(world.served).toMatchObject({ state: 'retired' });
  });
});

describe('what else can happen', () => {
  it('I2: refuses a release that may not serve, and commits nothing', async () => {
    const world = await deployed(({ script }) => (script.refusedRelease = 3));
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['refused']);
    expect(world.served).toMatchObject({ generation: 2, arms: alone(2) });
  });

  it('I1: gives way to another writer that was first, and says so', async () => {
    const world = await deployed();
    const prepare = world.prepareRollout.bind(world);
    world.prepareRollout = async (input) => {
      world.serve(1);
      return prepare(input);
    };
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['aborted']);
    expect(world.served).toMatchObject({ generation: 3, arms: alone(1) });
    expect(world.rolloutEvents.at(-1)!.detail).toBe('another writer committed generation 3 first');
  });

  it('ends when a watch finds that another writer committed', async () => {
    const world = await deployed();
    world.script.canary = () => {
      world.serve(1);
      return canaryReport('inconclusive', { reason: 'generation-lost' });
    };
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['aborted']);
    expect(world.served).toMatchObject({ generation: 4, arms: alone(1) });
  });

  it('halts when a promotion cannot be committed, instead of moving traffic again, until an operator decides', async () => {
    const world = await deployed();
    const commit = world.commitRoute.bind(world);
    let broken = true;
    world.commitRoute = async (plan) => {
      if (broken && plan.intent.includes('/promote'))
        throw ApplicationFailure.create({ type: 'AUDIT_BROKEN', message: 'entry 7 was changed' });
      return commit(plan);
    };
    await bench.release(releaseRef(world.model, 3));
    const halted = await eventually(
      () => status(world),
      ({ rollout }) => rollout !== null && rollout.waitsFor !== null,
    );
    expect(halted.rollout!.waitsFor).toContain('AUDIT_BROKEN: entry 7 was changed');
    expect(world.served.arms).toEqual({ champion: [2, 0], challenger: [3, 1] });
    broken = false;
    await bench.command(world.model, 'promoteNow');
    expect(await ended(world)).toEqual(['promoted']);
  });

  it('stays halted when a challenger could not be taken back, and tries again with the next rollback', async () => {
    const world = await deployed(({ script }) => (script.canary = () => canaryReport('fail')));
    const commit = world.commitRoute.bind(world);
    let broken = true;
    world.commitRoute = async (plan) => {
      if (broken && plan.intent.includes('champion-only'))
        throw ApplicationFailure.create({ type: 'AUDIT_BROKEN', message: 'entry 7 was changed' });
      return commit(plan);
    };
    await bench.release(releaseRef(world.model, 3));
    const halted = await eventually(
      () => status(world),
      (seen) => seen.halted !== null,
    );
    expect(halted.halted).toContain('could not let the champion serve alone (AUDIT_BROKEN');
    expect(await bench.command(world.model, 'rollback')).toMatchObject({ accepted: false });
    broken = false;
    expect(await bench.command(world.model, 'rollback')).toMatchObject({ accepted: true });
    expect(world.served.arms).toEqual(alone(2));
  });

  it('takes back a rollout whose workflow was lost, and records it', async () => {
    const world = bench.world();
    world.serve(2);
    world.script.unfinished = { id: 'rollout-3-2', release: releaseRef(world.model, 3), run: null };
    await bench.startDeployment(world.model);
    expect(await ended(world)).toEqual(['rolled-back']);
    expect(world.served).toMatchObject({ generation: 2, arms: alone(2) });
    expect(world.routes[1]!.intent).toBe('rollout-3-2/recovered/on-1');
  });

  it('rolls back two releases in a row without a rollout in progress', async () => {
    const world = await deployed();
    expect(await bench.command(world.model, 'rollback')).toMatchObject({
      accepted: true,
      detail: 'release 1 serves alone, generation 3',
    });
    expect(world.calls).toContain('verifyServable');
    expect(world.served.arms).toEqual(alone(1));
  });

  it('refuses a rollback where no release served before', async () => {
    const world = bench.world();
    world.serve(1);
    await bench.startDeployment(world.model);
    expect(await bench.command(world.model, 'rollback')).toEqual({
      accepted: false,
      code: 'COMMAND_REFUSED',
      detail: 'no release served before this one',
    });
  });

  it('answers a command that cannot be checked instead of keeping everybody waiting', async () => {
    const world = await deployed();
    const broken = ApplicationFailure.create({ type: 'STORE_UNAVAILABLE', message: '503' });
    world.script.failures.admitCommand = Array.from({ length: 6 }, () => broken);
    expect(await bench.command(world.model, 'rollback')).toMatchObject({ accepted: false, code: 'STORE_UNAVAILABLE' });
    expect(await bench.command(world.model, 'rollback')).toMatchObject({ accepted: true });
  });

  it('is not failed by a run that no longer waits', async () => {
    const world = await deployed();
    await bench.release(releaseRef(world.model, 3), 'r-0123456789-1');
    expect(await ended(world)).toEqual(['promoted']);
    const next = await eventually(
      () => status(world),
      ({ rollout, champion }) => rollout === null && champion?.version === 3,
    );
    expect(next.halted).toBeNull();
  });
});

describe('continue as new', () => {
  it('begins a new run for each rollout, which keeps the queue in order', async () => {
    const world = await deployed(
      ({ script }) =>
        (script.canary = (input) => (input.rollout.release.version === 3 ? untilCancelled() : canaryReport('pass'))),
    );
    const first = (await bench.client.workflow.getHandle(workflowIds.deployment(world.model)).describe()).runId;
    await bench.release(releaseRef(world.model, 3));
    await watching(world);
    for (const version of [4, 5, 6]) await bench.release(releaseRef(world.model, version));
    await bench.command(world.model, 'abort');
    await eventually(
      () => world.outcomes,
      (outcomes) => outcomes.length === 4,
    );
    expect(world.outcomes).toEqual(['aborted', 'promoted', 'promoted', 'promoted']);
    expect(world.served.arms).toEqual(alone(6));
    const last = await eventually(
      () => bench.client.workflow.getHandle(workflowIds.deployment(world.model)).describe(),
      ({ historyLength }) => historyLength < 30,
    );
    expect(last.runId).not.toBe(first);
  });

  it('answers an update that is sent again to a later run as it was answered before', async () => {
    const world = await deployed();
    await bench.release(releaseRef(world.model, 3));
    await ended(world);
    await eventually(
      () => status(world),
      ({ rollout, champion }) => rollout === null && champion?.version === 3,
    );
    await eventually(
      () => world.calls.filter((call) => call === 'recoverDeployment').length,
      (count) => count === 2,
    );
    expect(await bench.release(releaseRef(world.model, 3))).toEqual({ accepted: true, detail: 'was accepted before' });
    expect(world.outcomes).toEqual(['promoted']);
  });

  it('answers 500 commands across runs, and carries no more than 200 ids', async () => {
    const world = await deployed(({ script }) => (script.canary = () => canaryReport('pass')));
    const receipts: boolean[] = [];
    for (let batch = 0; batch < 10; batch += 1) {
      if (batch % 3 === 0) await bench.release(releaseRef(world.model, 10 + batch));
      const sent = Array.from({ length: 50 }, (_, index) =>
        bench.command(world.model, 'resume', {}, `nonce-${batch}-${index}`),
      );
      receipts.push(...(await Promise.all(sent)).map((receipt) => typeof receipt.detail === 'string'));
    }
    expect(receipts).toHaveLength(500);
    await eventually(
      () => world.calls.filter((call) => call === 'recoverDeployment').length,
      (runs) => runs === 5,
    );
    expect(world.outcomes).toEqual(['promoted', 'promoted', 'promoted', 'promoted']);
    expect((await bench.command(world.model, 'resume', {}, 'nonce-9-49')).detail).toMatch(
      /^was (accepted|refused) before$/,
    );
    expect(world.calls.filter((call) => call === 'admitCommand')).toHaveLength(504);
    const { events } = await bench.client.workflow.getHandle(workflowIds.deployment(world.model)).fetchHistory();
    const input = JSON.parse(
      Buffer.from(events![0]!.workflowExecutionStartedEventAttributes!.input!.payloads![0]!.data!).toString('utf8'),
    ) as { seen: unknown[] };
    expect(input.seen.length).toBeLessThanOrEqual(200);
  }, 120_000);
});

import { ApplicationFailure } from '@temporalio/common';
import { workflowIds } from '../../workflows/domain/names';
import type { DeploymentStatus } from '../../workflows/deployment.messages';
import { canaryReport, DAY_MS, releaseRef, untilCancelled, alone } from '../support/fake-documents';
import type { FakeWorld } from '../support/fake-world';
import { timeSkippingBench } from '../support/time-skipping-bench';
import { ended, eventually } from '../support/workflow-bench';

const { bench, sleep } = timeSkippingBench();

const status = (world: FakeWorld): Promise<DeploymentStatus> => bench.deploymentStatus(world.model);

it('waits for weeks in the same run, without a timer', async () => {
  const world = await bench.deployed();
  await sleep(60 * DAY_MS);
  expect((await status(world)).champion).toEqual(releaseRef(world.model, 2));
  expect(world.calls).toEqual(['recoverDeployment']);
});

describe('what else can happen', () => {
  it('I2: refuses a release that may not serve, and commits nothing', async () => {
    const world = await bench.deployed(({ script }) => (script.refusedRelease = 3));
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['refused']);
    expect(world.served).toMatchObject({ generation: 2, arms: alone(2) });
  });

  it('I1: gives way to another writer that was first, and says so', async () => {
    const world = await bench.deployed();
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
    const world = await bench.deployed();
    world.script.canary = () => {
      world.serve(1);
      return canaryReport('inconclusive', { reason: 'generation-lost' });
    };
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['aborted']);
    expect(world.served).toMatchObject({ generation: 4, arms: alone(1) });
  });

  it('halts when a promotion cannot be committed, instead of moving traffic again, until an operator decides', async () => {
    const world = await bench.deployed();
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
    const world = await bench.deployed(({ script }) => (script.canary = () => canaryReport('fail')));
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

  it('waits for a person when the store cannot be believed, and tries again with the next command', async () => {
    const world = bench.world();
    world.serve(1, 2);
    const broken = ApplicationFailure.create({ type: 'AUDIT_BROKEN', message: 'entry 7 was changed' });
    world.script.failures.recoverDeployment = [broken, broken];
    await bench.startDeployment(world.model);
    await eventually(
      () => status(world),
      ({ halted }) => halted !== null,
    );
    const refused = await bench.command(world.model, 'rollback');
    expect(refused).toMatchObject({ accepted: false, code: 'COMMAND_REFUSED' });
    expect(refused.detail).toContain('AUDIT_BROKEN: entry 7 was changed');
    expect(await bench.command(world.model, 'rollback')).toMatchObject({ accepted: true });
    expect(world.served.arms).toEqual(alone(1));
  });

  it('leaves alone what another writer put in place of the challenger', async () => {
    const world = await bench.deployed(({ script }) => (script.canary = () => canaryReport('fail')));
    const commit = world.commitRoute.bind(world);
    world.commitRoute = async (plan) => {
      if (plan.intent.includes('champion-only') && world.routes.length === 3) world.serve(1);
      return commit(plan);
    };
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['rolled-back']);
    expect(world.served).toMatchObject({ generation: 4, arms: alone(1) });
  });

  it('rolls back two releases in a row without a rollout in progress', async () => {
    const world = await bench.deployed();
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
    const world = await bench.deployed();
    const broken = ApplicationFailure.create({ type: 'STORE_UNAVAILABLE', message: '503' });
    world.script.failures.admitCommand = Array.from({ length: 6 }, () => broken);
    expect(await bench.command(world.model, 'rollback')).toMatchObject({ accepted: false, code: 'STORE_UNAVAILABLE' });
    expect(await bench.command(world.model, 'rollback')).toMatchObject({ accepted: true });
  });

  it('is not failed by a run that no longer waits', async () => {
    const world = await bench.deployed();
    await bench.release(releaseRef(world.model, 3), 'r-0123456789-1');
    expect(await ended(world)).toEqual(['promoted']);
    await eventually(
      () => world.calls.filter((call) => call === 'recoverDeployment').length,
      (runs) => runs === 2,
    );
    expect(await status(world)).toMatchObject({ halted: null, champion: { version: 3 } });
  });
});

describe('continue as new', () => {
  it('begins a new run for each rollout, which keeps the queue in order', async () => {
    const world = await bench.deployed(
      ({ script }) =>
        (script.canary = (input) => (input.rollout.release.version === 3 ? untilCancelled() : canaryReport('pass'))),
    );
    const first = (await bench.client.workflow.getHandle(workflowIds.deployment(world.model)).describe()).runId;
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
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
    const world = await bench.deployed();
    await bench.release(releaseRef(world.model, 3));
    await ended(world);
    await eventually(
      () => world.calls.filter((call) => call === 'recoverDeployment').length,
      (count) => count === 2,
    );
    expect(await bench.release(releaseRef(world.model, 3))).toEqual({ accepted: true, detail: 'was accepted before' });
    expect(world.outcomes).toEqual(['promoted']);
  });

  it('answers 500 commands across runs, and carries no more than 200 ids', async () => {
    const world = await bench.deployed(({ script }) => (script.canary = () => canaryReport('pass')));
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

describe('a run hands over what an operator handed over before it', () => {
  const RUN = 'r-0123456789-1';
  const waitingRun = async (world: FakeWorld): Promise<{ result: () => Promise<unknown> }> => {
    world.script.plan = { approvalsRequired: 0 };
    const handle = await bench.startLifecycle(world.request(RUN));
    await eventually(
      () => bench.lifecycleStatus(world.request(RUN)),
      ({ detail }) => detail.includes('waits for its end'),
    );
    return handle;
  };
  const aborted = { outcome: 'rolled-back', detail: expect.stringContaining('aborted by person:olga') as string };

  it('and is told the end of what waited in the queue, across runs of the deployment', async () => {
    const world = await bench.deployed(({ script }) => (script.canary = untilCancelled));
    const run = await waitingRun(world);
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
    await bench.release(releaseRef(world.model, 4), null, 'by hand');
    expect(await bench.release(releaseRef(world.model, 4), RUN)).toEqual({
      accepted: true,
      detail: 'release 4 is in hand already',
    });
    await bench.command(world.model, 'abort', { release: releaseRef(world.model, 3) });
    await eventually(
      () => status(world),
      ({ rollout }) => rollout?.release.version === 4,
    );
    expect((await status(world)).rollout).toMatchObject({ run: RUN });
    await bench.command(world.model, 'abort');
    expect(await run.result()).toMatchObject(aborted);
  });

  it('and is told the end of a rollout in progress', async () => {
    const world = await bench.deployed(({ script }) => (script.canary = untilCancelled));
    const run = await waitingRun(world);
    await bench.release(releaseRef(world.model, 3), null, 'by hand');
    await bench.watching(world);
    await bench.release(releaseRef(world.model, 3), RUN);
    expect((await status(world)).rollout).toMatchObject({ run: RUN });
    await bench.command(world.model, 'abort');
    expect(await run.result()).toMatchObject(aborted);
  });

  it('and is told when it comes while the end is being recorded', async () => {
    const world = await bench.deployed(({ script }) => (script.canary = () => canaryReport('fail')));
    const run = await waitingRun(world);
    const record = world.recordRollout.bind(world);
    let letRecord = (): void => undefined;
    const gate = new Promise<void>((go) => (letRecord = go));
    let isEnding = false;
    world.recordRollout = async (input) => {
      isEnding ||= input.event === 'ended';
      if (input.event === 'ended') await gate;
      return record(input);
    };
    await bench.release(releaseRef(world.model, 3), null, 'by hand');
    await eventually(
      () => isEnding,
      (ending) => ending,
    );
    const receipt = await bench.release(releaseRef(world.model, 3), RUN);
    letRecord();
    expect(receipt).toMatchObject({ detail: 'release 3 is in hand already' });
    expect(await run.result()).toMatchObject({ outcome: 'rolled-back' });
  });
});

import { ApplicationFailure } from '@temporalio/common';
import type { DeploymentStatus, Receipt } from '../../workflows/deployment.messages';
import { canaryReport, releaseRef, ROLLOUT_SPEC, untilCancelled, alone } from '../support/fake-documents';
import type { FakeWorld } from '../support/fake-world';
import { timeSkippingBench } from '../support/time-skipping-bench';
import { ended, eventually, challengerShares } from '../support/workflow-bench';

const { bench } = timeSkippingBench();

/** A command that ends the run of the deployment may be answered by the next one, which knows only that it was accepted. */
const expectAccepted = ({ accepted, detail }: Receipt, expected: string): void => {
  expect({ accepted, detail }).toEqual({
    accepted: true,
    detail: detail === 'was accepted before' ? detail : expected,
  });
};

const status = (world: FakeWorld): Promise<DeploymentStatus> => bench.deploymentStatus(world.model);

describe('commands during a rollout', () => {
  const looking = (): Promise<FakeWorld> => bench.deployed(({ script }) => (script.canary = untilCancelled));

  it('rolls back: ends the watch, serves the exact previous release, and tells who did it', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
    const receipt = await bench.command(world.model, 'rollback', { reason: 'scores look odd' });
    expectAccepted(receipt, 'release 2 serves alone, generation 4');
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
    await bench.watching(world);
    const other = await bench.command(world.model, 'abort', { release: releaseRef(world.model, 9) });
    expect(other).toMatchObject({ accepted: false, code: 'COMMAND_REFUSED' });
    await bench.command(world.model, 'abort', { release: releaseRef(world.model, 3) });
    expect(world.outcomes).toEqual(['aborted']);
    expect(world.served.arms).toEqual(alone(2));
  });

  it('takes a release that waits out of the queue, and one that arrives after its own abort is refused', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
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
    const world = await bench.deployed(({ script }) => {
      script.canary = async (input) => {
        holds.push(input.hold);
        if (input.hold) return untilCancelled();
        await new Promise((resolve) => setTimeout(resolve, input.step === 0 ? 500 : 0));
        return canaryReport('pass');
      };
    });
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
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
    const world = await bench.deployed(({ script }) => {
      script.canary = async (input) => {
        if (input.hold) return canaryReport('fail');
        await new Promise((resolve) => setTimeout(resolve, 500));
        return canaryReport('pass');
      };
    });
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
    await bench.command(world.model, 'pause');
    expect(await ended(world)).toEqual(['rolled-back']);
  });

  it('skips a step, and promotes at once, when an operator says so', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
    await bench.command(world.model, 'skipStep');
    await bench.watching(world, 1);
    expect(challengerShares(world)).toEqual([0.1, 0.5]);
    await bench.command(world.model, 'promoteNow');
    expect(await ended(world)).toEqual(['promoted']);
    expect(challengerShares(world)).toEqual([0.1, 0.5, 0]);
    expect(world.served.arms).toEqual(alone(3));
  });

  it('skips no step that nobody named: one whose verdict is being recorded is over', async () => {
    const world = await bench.deployed(({ script }) => {
      script.canary = ({ step }) => (step === 0 ? canaryReport('pass') : untilCancelled());
    });
    const record = world.recordRollout.bind(world);
    let letRecord = (): void => undefined;
    const gate = new Promise<void>((go) => (letRecord = go));
    let isJudged = false;
    world.recordRollout = async (input) => {
      isJudged ||= input.event === 'judged';
      if (input.event === 'judged') await gate;
      return record(input);
    };
    await bench.release(releaseRef(world.model, 3));
    await eventually(
      () => isJudged,
      (judged) => judged,
    );
    const late = await bench.command(world.model, 'skipStep');
    letRecord();
    expect(late).toEqual({
      accepted: false,
      code: 'COMMAND_REFUSED',
      detail: 'step 1 of 3 is over already; nothing was skipped',
    });
    await bench.watching(world, 1);
    const named = await bench.command(world.model, 'skipStep');
    expect(named).toMatchObject({ accepted: true, detail: 'skipStep: rollout of release 3, step 2 of 3' });
    await bench.watching(world, 2);
    expect(challengerShares(world)).toEqual([0.1, 0.5, 1]);
    expect(world.rolloutEvents.map(({ event, detail }) => `${event} ${detail}`)).toEqual([
      'started against champion 2',
      'judged step 1 of 3: next',
    ]);
  });

  it('freezes: ends the rollout, lets releases wait, allows a rollback, and goes on after unfreeze', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
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
    await bench.watching(world);
    await bench.command(world.model, 'divert', { release: releaseRef(world.model, 1) });
    expect(world.served.arms).toEqual(alone(1));
    world.script.refusedRelease = 2;
    const refused = await bench.command(world.model, 'divert', { release: releaseRef(world.model, 2) });
    expect(refused).toMatchObject({ accepted: false, code: 'KEY_REVOKED' });
    expect(world.served.arms).toEqual(alone(1));
  });

  it('refuses what cannot be: a stranger, a missing rollout, a run command, a retired model', async () => {
    const world = await bench.deployed();
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

describe('commands to a retired model', () => {
  const retired = async (): Promise<FakeWorld> => {
    const world = await bench.deployed();
    await bench.command(world.model, 'retire');
    return world;
  };

  it('say to unfreeze it first, and never that anything serves', async () => {
    const world = await retired();
    const refused = {
      accepted: false,
      code: 'COMMAND_REFUSED',
      detail: 'the model is retired and serves nobody; unfreeze it first',
    };
    expect(await bench.command(world.model, 'rollback')).toEqual(refused);
    expect(await bench.command(world.model, 'divert', { release: releaseRef(world.model, 1) })).toEqual(refused);
    expect(await bench.command(world.model, 'freeze')).toEqual(refused);
    expect(await bench.release(releaseRef(world.model, 3))).toEqual(refused);
    expect(world.served).toMatchObject({ generation: 3, arms: alone(2), state: 'retired' });
  });

  it('I2: bring it back after a look at its release, and by another release where that one may not serve', async () => {
    const world = await retired();
    world.script.refusedRelease = 2;
    expect(await bench.command(world.model, 'unfreeze')).toEqual({
      accepted: false,
      code: 'KEY_REVOKED',
      detail: 'its key is compromised; divert to a release that may serve',
    });
    expect(world.served).toMatchObject({ generation: 3, state: 'retired' });
    expect(await bench.command(world.model, 'divert', { release: releaseRef(world.model, 1) })).toEqual({
      accepted: true,
      detail: 'release 1 serves alone, generation 4',
    });
    expect(world.served).toMatchObject({ generation: 4, arms: alone(1), state: 'serving' });
    const other = await retired();
    expect(await bench.command(other.model, 'unfreeze')).toMatchObject({ accepted: true });
    expect(other.calls).toContain('verifyServable');
    expect(other.served).toMatchObject({ generation: 4, arms: alone(2), state: 'serving' });
  });

  it('keep what waits in its queue waiting until unfreeze', async () => {
    const world = await bench.deployed(({ script }) => (script.canary = untilCancelled));
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
    await bench.release(releaseRef(world.model, 4));
    await bench.command(world.model, 'retire');
    // The next run has begun, and answers commands with its release still in the queue.
    await eventually(
      () => world.calls.filter((call) => call === 'recoverDeployment').length,
      (runs) => runs === 2,
    );
    expect(await bench.command(world.model, 'pause')).toMatchObject({ detail: 'no rollout is in progress' });
    expect(await status(world)).toMatchObject({ state: 'retired', queued: [releaseRef(world.model, 4)] });
    world.script.canary = () => canaryReport('pass');
    await bench.command(world.model, 'unfreeze');
    expect(await ended(world, 2)).toEqual(['aborted', 'promoted']);
    expect(world.served).toMatchObject({ arms: alone(4), state: 'serving' });
  });
});

it('divert ends a bootstrap shadow, and the release serves', async () => {
  const world = bench.world();
  world.script.rollout = { ...ROLLOUT_SPEC, bootstrap: 'shadow' };
  await bench.startDeployment(world.model);
  await bench.release(releaseRef(world.model, 1));
  await eventually(
    () => status(world),
    ({ rollout }) => rollout !== null && rollout.waitsFor !== null,
  );
  expect(await bench.command(world.model, 'skipStep')).toMatchObject({ accepted: false });
  const receipt = await bench.command(world.model, 'divert', { release: releaseRef(world.model, 2) });
  expectAccepted(receipt, 'release 2 serves alone, generation 3');
  expect(world.served).toMatchObject({ generation: 3, arms: alone(2), state: 'serving' });
  expect(world.outcomes).toEqual(['aborted']);
});

describe('commands while a release is being verified', () => {
  /** The store, or a defect, keeps the verification from ever coming to an end. */
  const verifying = async (): Promise<FakeWorld> => {
    const world = await bench.deployed();
    world.prepareRollout = () => {
      world.calls.push('prepareRollout');
      throw ApplicationFailure.create({ type: 'INTERNAL', message: 'cannot read a key' });
    };
    await bench.release(releaseRef(world.model, 3), 'r-0123456789-1');
    await eventually(
      () => world.calls,
      (calls) => calls.includes('prepareRollout'),
    );
    return world;
  };

  it('I4: a rollback ends it at once, however often it would be tried again', async () => {
    const world = await verifying();
    const receipt = await bench.command(world.model, 'rollback', { reason: 'we need the old one' });
    expectAccepted(receipt, 'release 2 serves alone, generation 2');
    expect(await ended(world)).toEqual(['rolled-back']);
    expect(world.rolloutEvents).toEqual([
      {
        event: 'ended',
        outcome: 'rolled-back',
        detail: 'rollback by person:olga: we need the old one',
        actor: 'person:olga',
      },
    ]);
    expect(world.served).toMatchObject({ generation: 2, arms: alone(2) });
  });

  it('abort ends that of the release it names, and no other', async () => {
    const world = await verifying();
    const other = await bench.command(world.model, 'abort', { release: releaseRef(world.model, 9) });
    expect(other).toMatchObject({ accepted: false, code: 'COMMAND_REFUSED' });
    const receipt = await bench.command(world.model, 'abort', { release: releaseRef(world.model, 3) });
    expect(receipt).toMatchObject({ accepted: true });
    expect(await ended(world)).toEqual(['aborted']);
  });

  it('divert and freeze end it and do what they are for', async () => {
    const world = await verifying();
    await bench.command(world.model, 'divert', { release: releaseRef(world.model, 1) });
    expect(await ended(world)).toEqual(['aborted']);
    expect(world.served).toMatchObject({ generation: 3, arms: alone(1) });
    const frozen = await verifying();
    await bench.command(frozen.model, 'freeze');
    expect(await ended(frozen)).toEqual(['aborted']);
    expect(frozen.served).toMatchObject({ generation: 3, arms: alone(2), state: 'frozen' });
  });

  it('a release that is handed over again is in hand, and others wait behind it', async () => {
    const world = await verifying();
    expect(await bench.release(releaseRef(world.model, 3), null, 'again')).toMatchObject({
      detail: 'release 3 is in hand already',
    });
    expect(await bench.release(releaseRef(world.model, 4))).toMatchObject({ detail: 'release 4 waits behind 1' });
  });

  it('steering waits for the rollout, but keeps no rollback waiting behind it', async () => {
    const world = await verifying();
    const pause = bench.command(world.model, 'pause');
    await eventually(
      () => world.calls.filter((call) => call === 'admitCommand').length,
      (admitted) => admitted === 2,
    );
    const rollback = await bench.command(world.model, 'rollback');
    expect(rollback).toMatchObject({ accepted: true });
    expect(await pause).toEqual({
      accepted: false,
      code: 'COMMAND_REFUSED',
      detail: 'release 3 is still being verified; try again',
    });
  });

  it('steering that nobody waits behind takes effect once the rollout is there', async () => {
    let letVerify = (): void => undefined;
    const verified = new Promise<void>((go) => (letVerify = go));
    const world = await bench.deployed(({ script }) => (script.canary = untilCancelled));
    const prepare = world.prepareRollout.bind(world);
    world.prepareRollout = (input) => verified.then(() => prepare(input));
    await bench.release(releaseRef(world.model, 3));
    const pause = bench.command(world.model, 'pause');
    await eventually(
      () => world.calls.filter((call) => call === 'admitCommand').length,
      (admitted) => admitted === 2,
    );
    letVerify();
    expect(await pause).toMatchObject({ accepted: true, detail: 'pause: rollout of release 3, step 1 of 3' });
  });
});

import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { DeploymentStatus } from '../../workflows/deployment.messages';
import { canaryReport, releaseRef, untilCancelled } from '../support/fake-documents';
import type { FakeWorld } from '../support/fake-world';
import { startTimeSkipping } from '../support/time-skipping';
import { ended, eventually, WorkflowBench } from '../support/workflow-bench';

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

const status = (world: FakeWorld): Promise<DeploymentStatus> => bench.deploymentStatus(world.model);
const shares = (world: FakeWorld): number[] =>
  world.routes.slice(2).map((plan) => plan.arms.find((arm) => arm.name === 'challenger')?.weight ?? 0);
const alone = (version: number): Record<string, [number, number]> => ({ champion: [version, 1] });

describe('commands during a rollout', () => {
  const looking = (): Promise<FakeWorld> => bench.deployed(({ script }) => (script.canary = untilCancelled));

  it('rolls back: ends the watch, serves the exact previous release, and tells who did it', async () => {
    const world = await looking();
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
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
    expect(shares(world)).toEqual([0.1, 0.5]);
    await bench.command(world.model, 'promoteNow');
    expect(await ended(world)).toEqual(['promoted']);
    expect(shares(world)).toEqual([0.1, 0.5, 0]);
    expect(world.served.arms).toEqual(alone(3));
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

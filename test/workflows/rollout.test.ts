import { ApplicationFailure } from '@temporalio/common';
import type { DeploymentStatus } from '../../workflows/deployment.messages';
import {
  canaryReport,
  qualityReport,
  releaseRef,
  ROLLOUT_SPEC,
  untilCancelled,
  QUALITY_CHECK,
  alone,
} from '../support/fake-documents';
import type { FakeWorld } from '../support/fake-world';
import { timeSkippingBench } from '../support/time-skipping-bench';
import { ended, eventually, challengerShares } from '../support/workflow-bench';

const { bench } = timeSkippingBench();

const status = (world: FakeWorld): Promise<DeploymentStatus> => bench.deploymentStatus(world.model);

describe('rollout', () => {
  it('shifts traffic step by step, bakes, and promotes what passed', async () => {
    const world = await bench.deployed();
    expect(await bench.release(releaseRef(world.model, 3))).toEqual({
      accepted: true,
      detail: 'rollout of release 3 begins',
    });
    expect(await ended(world)).toEqual(['promoted']);
    expect(challengerShares(world)).toEqual([0.1, 0.5, 1, 0]);
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
    const world = await bench.deployed(({ script }) => (script.canary = report));
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual([outcome]);
    expect(world.served).toMatchObject({ generation: 4, arms: alone(2) });
    const watches = world.calls.filter((call) => call === 'watchCanary').length;
    expect(watches).toBe(outcome === 'inconclusive' ? 2 : 1);
  });

  it('fails in a later step, and has the verdicts recorded before the traffic goes back', async () => {
    const world = await bench.deployed(
      ({ script }) => (script.canary = ({ step }) => canaryReport(step === 1 ? 'fail' : 'pass')),
    );
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['rolled-back']);
    expect(challengerShares(world)).toEqual([0.1, 0.5, 0]);
    const last = world.calls.slice(world.calls.lastIndexOf('watchCanary') + 1);
    expect(last.slice(0, 3)).toEqual(['recordRollout', 'commitRoute', 'recordRollout']);
  });

  it('gives a watch the generations, the start and the extension of its step', async () => {
    const seen: object[] = [];
    const world = await bench.deployed(({ script }) => {
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

it('lets the step after a skipped one begin with its own first request, not with that of the step before', async () => {
  const starts: (number | null)[] = [];
  const world = await bench.deployed(({ script }) => {
    script.canary = (input) => {
      starts.push(input.eventStartMs);
      return input.step === 1 ? untilCancelled() : canaryReport('pass');
    };
  });
  await bench.release(releaseRef(world.model, 3));
  await bench.watching(world, 1);
  await bench.command(world.model, 'skipStep');
  expect(await ended(world)).toEqual(['promoted']);
  expect(starts).toEqual([null, Date.parse('2001-03-20T00:00:00Z'), null]);
});

describe('paired quality', () => {
  const withQuality = (world: FakeWorld): void => {
    world.script.rollout = { ...ROLLOUT_SPEC, quality: QUALITY_CHECK };
    // Long enough for quality to begin: this server forgets to end an activity that is cancelled before it began.
    world.script.canary = () => later(canaryReport('pass'));
  };
  const later = async <T>(value: T): Promise<T> => new Promise((resolve) => setTimeout(() => resolve(value), 300));

  it('takes the challenger back as soon as quality fails, while the canary still looks', async () => {
    const world = await bench.deployed((it) => {
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
    const world = await bench.deployed(withQuality);
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['promoted']);
    expect(world.calls.filter((call) => call === 'watchQuality')).toHaveLength(1);
  });

  it('asks for quality in the last step before the bake only, extends it, and ends inconclusive', async () => {
    const world = await bench.deployed((it) => {
      withQuality(it);
      it.script.quality = () => qualityReport('inconclusive');
    });
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['inconclusive']);
    expect(challengerShares(world)).toEqual([0.1, 0.5, 0]);
    expect(world.calls.filter((call) => call === 'watchCanary')).toHaveLength(3);
  });

  it('hears the last word of a quality watch that was still looking when the step was over', async () => {
    const world = await bench.deployed((it) => {
      withQuality(it);
      it.script.quality = () => untilCancelled().catch(() => qualityReport('pass'));
    });
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['promoted']);
  });

  it('I5: counts quality that could not be judged as open, not as good', async () => {
    const world = await bench.deployed((it) => {
      withQuality(it);
      it.script.quality = () => {
        throw ApplicationFailure.nonRetryable('no labels', 'DATA_UNREADABLE');
      };
    });
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['inconclusive']);
  });
});

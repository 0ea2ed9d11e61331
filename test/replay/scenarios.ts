import { ApplicationFailure } from '@temporalio/common';
import { TASK_QUEUES, workflowIds } from '../../workflows/domain/names';
import type { Envelope } from '../../workflows/domain/envelope';
import {
  approveSignal,
  approveUpdate,
  cancelRunUpdate,
  type RolloutEndedArgs,
  rolloutEndedSignal,
  rejectUpdate,
} from '../../workflows/lifecycle.messages';
import { MAX_QUEUED_RELEASES, MAX_SEEN_IDS } from '../../workflows/deployment.messages';
import { MONITOR } from '../../workflows/monitor.messages';
import {
  canaryReport,
  digestFor,
  fakeApproval,
  fakeCommand,
  qualityReport,
  releaseRef,
  ROLLOUT_SPEC,
  untilCancelled,
  QUALITY_CHECK,
} from '../support/fake-documents';
import type { FakeWorld } from '../support/fake-world';
import { ended, eventually, type WorkflowBench } from '../support/workflow-bench';

/** One path through a workflow, whose history is kept. Returns the run that the history is of, once that run is closed. */
export interface Scenario {
  /** `<workflow>/<feature>-v<version>`: also the file of the history. */
  readonly name: string;
  run(bench: WorkflowBench, model: string): Promise<{ workflowId: string; runId: string }>;
}

type Handle = Awaited<ReturnType<WorkflowBench['startLifecycle']>>;

function lifecycle(
  feature: string,
  script: (world: FakeWorld) => void,
  drive: (handle: Handle, world: FakeWorld, bench: WorkflowBench) => Promise<void>,
): Scenario {
  return {
    name: `lifecycle/${feature}`,
    async run(bench, model) {
      const world = bench.world(model);
      script(world);
      const imported = feature.startsWith('imported')
        ? { onnx: digestFor('onnx'), signature: digestFor('signature') }
        : null;
      const request = world.request(undefined, { imported });
      const handle = await bench.startLifecycle(request);
      const { runId } = await handle.describe();
      await drive(handle, world, bench);
      await handle.result().catch(() => undefined);
      return { workflowId: handle.workflowId, runId };
    },
  };
}

const stage = async (bench: WorkflowBench, world: FakeWorld, name: string): Promise<unknown> =>
  eventually(
    () => bench.lifecycleStatus(world.request()),
    (status) => status.stage === name && (name !== 'rolling-out' || status.detail.includes('waits for its end')),
  );

async function endRollout(
  handle: Handle,
  world: FakeWorld,
  bench: WorkflowBench,
  outcome: RolloutEndedArgs[0]['outcome'],
): Promise<void> {
  await stage(bench, world, 'rolling-out');
  const { model, run } = world.request();
  await handle.signal<RolloutEndedArgs>(rolloutEndedSignal, { model, run, outcome, detail: 'as told' });
}

const unapproved = (world: FakeWorld): void => {
  world.script.plan = { approvalsRequired: 0 };
};

export const lifecycleScenarios: readonly Scenario[] = [
  lifecycle(
    'promoted-v1',
    () => undefined,
    async (handle, world, bench) => {
      const release = releaseRef(world.model, 1);
      await stage(bench, world, 'awaiting-approval');
      await handle.executeUpdate<unknown, [Envelope]>(approveUpdate, {
        args: [fakeApproval(release, 'person:stranger')],
      });
      await handle.executeUpdate<unknown, [Envelope]>(approveUpdate, { args: [fakeApproval(release, 'person:ana')] });
      await handle.signal(approveSignal, fakeApproval(release, 'person:ben'));
      await endRollout(handle, world, bench, 'promoted');
    },
  ),
  lifecycle('imported-rolled-back-v1', unapproved, (handle, world, bench) =>
    endRollout(handle, world, bench, 'rolled-back'),
  ),
  lifecycle(
    'gates-failed-v1',
    (world) => (world.script.gatesPass = false),
    async () => undefined,
  ),
  lifecycle(
    'expired-v1',
    (world) => (world.script.plan = { approvalsWithinMs: 500 }),
    async () => undefined,
  ),
  lifecycle(
    'rejected-v1',
    () => undefined,
    async (handle, world, bench) => {
      await stage(bench, world, 'awaiting-approval');
      const rejection = fakeApproval(releaseRef(world.model, 1), 'person:ana', { decision: 'reject' });
      await handle.executeUpdate<unknown, [Envelope]>(rejectUpdate, { args: [rejection] });
    },
  ),
  lifecycle(
    'failed-v1',
    (world) =>
      (world.script.failures.ingest = [
        ApplicationFailure.create({ type: 'DATA_SCHEMA', message: 'a column is missing' }),
      ]),
    async () => undefined,
  ),
  lifecycle('cancelled-in-rollout-v1', unapproved, async (handle, world, bench) => {
    await stage(bench, world, 'rolling-out');
    await handle.executeUpdate<unknown, [Envelope]>(cancelRunUpdate, { args: [fakeCommand(world.model, 'cancelRun')] });
  }),
];

/** The history of the deployment's first run, which ends with the rollout that `drive` leads to its end. */
function deployment(
  feature: string,
  script: (world: FakeWorld) => void,
  drive: (world: FakeWorld, bench: WorkflowBench) => Promise<void>,
): Scenario {
  return {
    name: `deployment/${feature}`,
    async run(bench, model) {
      const world = bench.world(model);
      if (!feature.startsWith('first')) world.serve(1, 2);
      script(world);
      const handle = await bench.startDeployment(model);
      const { runId } = await handle.describe();
      await drive(world, bench);
      await eventually(
        () => world.calls.filter((call) => call === 'recoverDeployment').length,
        (runs) => runs >= 2,
      );
      return { workflowId: workflowIds.deployment(model), runId };
    },
  };
}

const roll = async (world: FakeWorld, bench: WorkflowBench): Promise<void> => {
  await bench.release(releaseRef(world.model, 3), 'r-0123456789-1');
  await ended(world);
};

const rollWatched = async (world: FakeWorld, bench: WorkflowBench): Promise<void> => {
  await bench.release(releaseRef(world.model, 3));
  await bench.watching(world);
};

const watched = (world: FakeWorld): void => {
  world.script.canary = untilCancelled;
};

const LONGEST_ID = 128;
const BATCH = 50;

/** The run after one that carried over as much as there may be: a full queue, and as many ids as are remembered, each as long as may be. */
const muchCarried: Scenario = {
  name: 'deployment/much-carried-v1',
  async run(bench, model) {
    const world = bench.world(model);
    world.serve(1, 2);
    watched(world);
    const handle = await bench.startDeployment(model);
    await rollWatched(world, bench);
    const longId = (name: string): string => name.padEnd(LONGEST_ID, '-');
    for (let sent = 0; sent < MAX_SEEN_IDS; sent += BATCH) {
      const nonces = Array.from({ length: BATCH }, (_, index) => longId(`nonce-${sent + index}`));
      await Promise.all(nonces.map((nonce) => bench.command(model, 'cancelRun', {}, nonce)));
    }
    for (let version = 4; version < 4 + MAX_QUEUED_RELEASES; version += 1)
      await bench.release(releaseRef(model, version), 'r-0123456789-1', longId(`nonce-release-${version}`));
    await bench.command(model, 'abort', {}, longId('nonce-abort'));
    const next = await eventually(
      () => handle.describe(),
      ({ runId }) => runId !== handle.firstExecutionRunId,
    );
    await eventually(
      () => bench.deploymentStatus(model),
      ({ rollout }) => rollout?.release.version === 4,
    );
    await bench.command(model, 'abort', {}, longId('nonce-abort-again'));
    await eventually(
      () => handle.describe(),
      ({ runId }) => runId !== next.runId,
    );
    await handle.terminate();
    return { workflowId: handle.workflowId, runId: next.runId };
  },
};

export const deploymentScenarios: readonly Scenario[] = [
  deployment('promoted-v1', () => undefined, roll),
  deployment(
    'first-direct-v1',
    () => undefined,
    async (world, bench) => {
      await bench.release(releaseRef(world.model, 1));
      await ended(world);
    },
  ),
  deployment(
    'first-shadow-v1',
    (world) => (world.script.rollout = { ...ROLLOUT_SPEC, bootstrap: 'shadow' }),
    async (world, bench) => {
      await bench.release(releaseRef(world.model, 1));
      await eventually(
        () => bench.deploymentStatus(world.model),
        ({ rollout }) => typeof rollout?.waitsFor === 'string',
      );
      await bench.command(world.model, 'promoteNow');
      await ended(world);
    },
  ),
  deployment(
    'quality-failed-v1',
    (world) => {
      watched(world);
      world.script.rollout = { ...ROLLOUT_SPEC, quality: QUALITY_CHECK };
      world.script.quality = () => qualityReport('fail');
    },
    roll,
  ),
  deployment('inconclusive-extended-v1', (world) => (world.script.canary = () => canaryReport('inconclusive')), roll),
  deployment('rollback-command-v1', watched, async (world, bench) => {
    await rollWatched(world, bench);
    await bench.command(world.model, 'rollback', { reason: 'odd scores' });
  }),
  deployment('steered-v1', watched, async (world, bench) => {
    await rollWatched(world, bench);
    for (const action of ['pause', 'resume', 'skipStep'] as const) await bench.command(world.model, action);
    await bench.watching(world, 1);
    await bench.command(world.model, 'promoteNow');
    await ended(world);
  }),
  deployment('frozen-diverted-v1', watched, async (world, bench) => {
    await bench.command(world.model, 'freeze');
    await bench.command(world.model, 'divert', { release: releaseRef(world.model, 1) });
    await bench.command(world.model, 'unfreeze');
    await rollWatched(world, bench);
    await bench.command(world.model, 'abort');
  }),
  deployment('refused-v1', (world) => (world.script.refusedRelease = 3), roll),
  deployment(
    'recovered-v1',
    (world) =>
      (world.script.unfinished = { id: 'rollout-2-2', release: releaseRef(world.model, 2), run: 'r-0123456789-1' }),
    async (world, bench) => {
      await ended(world);
      await bench.release(releaseRef(world.model, 3));
      await ended(world, 2);
    },
  ),
  deployment(
    'lost-race-v1',
    () => undefined,
    async (world, bench) => {
      const prepare = world.prepareRollout.bind(world);
      world.prepareRollout = async (input) => {
        world.serve(1);
        return prepare(input);
      };
      await roll(world, bench);
    },
  ),
  muchCarried,
];

const asOf = '2001-05-06T00:00:00.000Z';

function monitor(feature: string, script: (world: FakeWorld) => void): Scenario {
  return {
    name: `monitor/${feature}`,
    async run(bench, model) {
      script(bench.world(model));
      const workflowId = `${workflowIds.monitor(model)}/${asOf}`;
      const handle = await bench.client.workflow.start(MONITOR, {
        workflowId,
        taskQueue: TASK_QUEUES.control,
        args: [{ model, asOf }],
      });
      await handle.result();
      return { workflowId, runId: handle.firstExecutionRunId };
    },
  };
}

export const monitorScenarios: readonly Scenario[] = [
  monitor('healthy-v1', () => undefined),
  monitor('retrain-v1', (world) => {
    world.script.look = {
      decision: 'retrain',
      detail: 'calibration is off',
      report: digestFor('report'),
      retrainAsOf: asOf,
    };
    world.script.retrainRun = 'r-0123456789-1';
  }),
];

export const scenarios: readonly Scenario[] = [...lifecycleScenarios, ...deploymentScenarios, ...monitorScenarios];

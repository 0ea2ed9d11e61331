import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import type { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import {
  createHandoverActivities,
  type HandoverActivities,
} from '../../activities/handover/create-handover-activities';
import { nodeEntry } from '../../infra/process/node-entry';
import type { Digest } from '../../workflows/domain/digest';
import { TASK_QUEUES, workflowIds } from '../../workflows/domain/names';
import type { ReleaseManifest } from '../../workflows/domain/release';
import type { RunResult } from '../../workflows/domain/run';
import type { Envelope } from '../../workflows/domain/envelope';
import type { LifecycleInput } from '../../workflows/lifecycle.messages';
import { cancelRunUpdate, type Receipt } from '../../workflows/lifecycle.messages';
import { MONITOR, type MonitorResult } from '../../workflows/monitor.messages';
import {
  canaryReport,
  digestFor,
  documentOf,
  fakeCommand,
  fakeEnvelope,
  releaseRef,
  ROLLOUT_SPEC,
  untilCancelled,
  QUALITY_CHECK,
} from '../support/fake-documents';
import type { FakeWorld } from '../support/fake-world';
import { startTemporalServer, type TestServer } from '../support/temporal-server';
import { ended, eventually, WorkflowBench } from '../support/workflow-bench';

let server: TestServer;
let bench: WorkflowBench;

beforeAll(async () => {
  server = await startTemporalServer();
  bench = new WorkflowBench(server);
}, 120_000);

afterEach(() => bench.stopWorkers());
afterAll(() => server?.stop());

/** The real hand-over, with a signature that the fakes take as it is. */
function withHandOver(world: FakeWorld): HandoverActivities {
  const handover = createHandoverActivities({
    client: server.client,
    signer: {
      keyId: 'process:control',
      publicKey: '',
      sign: (_, document) => fakeEnvelope(document, 'process:control'),
    },
    workspace: 'test',
    timeoutDivisor: 1,
    // Release 1 was judged; release 2 serves by now.
    releases: {
      list: async () => [releaseRef(world.model, 1), releaseRef(world.model, 2)],
      manifest: async ({ version }) =>
        ({
          lineage: { commit: `commit of release ${version}` },
          spec: digestFor('spec'),
        }) as unknown as ReleaseManifest,
    },
    blobs: {
      getJson: async <T>(digest: Digest) =>
        (digest === digestFor('report')
          ? { release: 1 }
          : { monitor: { retrain: { enabled: true, cooldownMs: 1000 } } }) as T,
    },
    claimRetrain: async (_, look) => !look.includes('cooling'),
  });
  const call = (name: 'handOver' | 'withdrawRelease' | 'startRetrain') => async (input: never) => {
    world.called(name);
    return handover[name](input) as never;
  };
  Object.assign(world, {
    handOver: call('handOver'),
    withdrawRelease: call('withdrawRelease'),
    startRetrain: call('startRetrain'),
  });
  return handover;
}

describe('I4: rollback needs only the control worker', () => {
  const timeOf = async (work: () => Promise<unknown>): Promise<number> => {
    const startedMs = Date.now();
    await work();
    return Date.now() - startedMs;
  };
  /** Two seconds, or what three of the cheapest commands take on a machine that is too busy for that. */
  const soon = async (world: FakeWorld): Promise<number> =>
    Math.max(2000, 3 * (await timeOf(() => bench.command(world.model, 'cancelRun'))));

  it('serves the previous release within two seconds of the command while no compute worker is there', async () => {
    await bench.startWorkers([TASK_QUEUES.control]);
    const world = await bench.deployed((it) => {
      it.script.rollout = { ...ROLLOUT_SPEC, quality: QUALITY_CHECK };
      it.script.canary = untilCancelled;
    });
    await bench.release(releaseRef(world.model, 3));
    await bench.watching(world);
    const withinMs = await soon(world);
    expect(await timeOf(() => bench.command(world.model, 'rollback'))).toBeLessThan(withinMs);
    expect(world.served).toMatchObject({ arms: { champion: [2, 1] } });
    expect(world.calls).not.toContain('watchQuality');
  });

  it('does not wait for the verification of a release that fails over and over', async () => {
    await bench.startWorkers([TASK_QUEUES.control]);
    const world = await bench.deployed();
    const defect = (): ApplicationFailure => ApplicationFailure.create({ type: 'INTERNAL', message: 'a defect' });
    world.script.failures.prepareRollout = Array.from({ length: 100 }, defect);
    await bench.release(releaseRef(world.model, 3));
    await eventually(
      () => world.calls.filter((call) => call === 'prepareRollout').length,
      (tried) => tried >= 3,
    );
    const withinMs = await soon(world);
    const rollback = (): Promise<Receipt> => bench.command(world.model, 'rollback');
    expect(await timeOf(rollback)).toBeLessThan(withinMs);
    expect(world.served).toMatchObject({ generation: 2, arms: { champion: [2, 1] } });
    expect(await ended(world)).toEqual(['rolled-back']);
  });

  it('ends a step inconclusive when nobody is there to judge quality', async () => {
    await bench.startWorkers([TASK_QUEUES.control]);
    const world = await bench.deployed((it) => {
      it.script.rollout = { ...ROLLOUT_SPEC, extensions: 0, quality: QUALITY_CHECK };
    });
    await bench.release(releaseRef(world.model, 3));
    expect(await ended(world)).toEqual(['inconclusive']);
  });
});

describe('what the Temporal UI shows', () => {
  const detailsOf = async (workflowId: string): Promise<string> => {
    const metadata = await server.client.workflow.getHandle(workflowId).query('__temporal_workflow_metadata');
    return (metadata as { currentDetails: string }).currentDetails;
  };

  it('of a run that waits: for what, for whom, until when, and how to end the wait', async () => {
    await bench.startWorkers();
    const world = bench.world();
    const request = world.request();
    const handle = await bench.startLifecycle(request);
    await eventually(
      () => bench.lifecycleStatus(request),
      ({ stage }) => stage === 'awaiting-approval',
    );
    const details = await detailsOf(handle.workflowId);
    expect(details).toContain(`## Release 1 of ${world.model} waits for 2 approvals`);
    expect(details).toContain('0 of 2 approvals are in');
    expect(details).toContain(`\`slipway approve ${world.model} --run ${request.run} --key KEY\``);
    expect(details).toContain('**pass** · auc at least 0.6');
    await handle.terminate();
  });

  it('of a rollout: its step, its share, its verdicts, and how to take it back', async () => {
    await bench.startWorkers();
    const world = await bench.deployed((it) => {
      it.script.canary = ({ step }) => (step === 0 ? canaryReport('pass') : untilCancelled());
    });
    await bench.release(releaseRef(world.model, 3));
    const details = await eventually(
      () => detailsOf(workflowIds.deployment(world.model)),
      (shown) => shown.includes('step 2 of 3: **50 % of callers**'),
    );
    expect(details).toContain(`## Release 2 serves ${world.model}`);
    expect(details).toContain('### Release 3 is on trial');
    expect(details).toContain('**pass** · errors: errors is pass');
    expect(details).toContain(`Take it back: \`slipway rollback ${world.model}\``);
    await bench.command(world.model, 'abort');
  });

  it('of an activity: a sentence', async () => {
    await bench.startWorkers();
    const world = await bench.deployed();
    await bench.release(releaseRef(world.model, 3));
    const { runId } = await server.client.workflow.getHandle(workflowIds.deployment(world.model)).describe();
    await ended(world);
    const { events } = await server.client.workflow
      .getHandle(workflowIds.deployment(world.model), runId)
      .fetchHistory();
    const summaries = events!
      .filter((event) => event.activityTaskScheduledEventAttributes)
      .map((event) => JSON.parse(Buffer.from(event.userMetadata!.summary!.data!).toString('utf8')) as string);
    expect(summaries).toContain('Commit generation 3: 10 % of callers to release 3');
    expect(summaries.every((summary) => summary.length > 10)).toBe(true);
  });
});

describe('hand-over', () => {
  it('starts the deployment with the first release, and the run hears how its rollout ended', async () => {
    await bench.startWorkers();
    const world = bench.world();
    world.script.plan = { approvalsRequired: 0 };
    withHandOver(world);
    const handle = await bench.startLifecycle(world.request());
    expect((await handle.result()) as RunResult).toMatchObject({
      outcome: 'promoted',
      version: 1,
      detail: 'first release of the model',
    });
    expect(world.served.arms).toEqual({ champion: [1, 1] });
    const described = await server.client.workflow.getHandle(workflowIds.deployment(world.model)).describe();
    expect(described.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value])).toContainEqual([
      'SlipwayModel',
      world.model,
    ]);
  });

  it('hands over once, however often the activity runs', async () => {
    await bench.startWorkers();
    const world = await bench.deployed();
    const handover = withHandOver(world);
    const input = { request: world.request(), release: releaseRef(world.model, 3) };
    const answers = [await handover.handOver(input), await handover.handOver(input)];
    expect(answers.map((answer) => answer.accepted)).toEqual([true, true]);
    await ended(world);
    await eventually(
      () => world.calls.filter((call) => call === 'recoverDeployment').length,
      (runs) => runs === 2,
    );
    expect(await handover.handOver(input)).toMatchObject({ accepted: true });
    expect(world.outcomes).toEqual(['promoted']);
  });

  it('is taken back when the run is cancelled by a signed command', async () => {
    await bench.startWorkers();
    const world = await bench.deployed((it) => {
      it.script.plan = { approvalsRequired: 0 };
      it.script.canary = untilCancelled;
      it.registerRelease = async () => releaseRef(it.model, 3);
    });
    withHandOver(world);
    const handle = await bench.startLifecycle(world.request());
    await bench.watching(world);
    await handle.executeUpdate<Receipt, [Envelope]>(cancelRunUpdate, { args: [fakeCommand(world.model, 'cancelRun')] });
    expect((await handle.result()) as RunResult).toMatchObject({ outcome: 'cancelled' });
    expect(world.served.arms).toEqual({ champion: [2, 1] });
  });
});

it('loses no update at continue-as-new: whoever sends commands all the while gets an answer to each', async () => {
  await bench.startWorkers();
  const world = await bench.deployed();
  const answers: Receipt[] = [];
  let over = false;
  const sender = (async () => {
    while (!over) answers.push(await bench.command(world.model, 'resume'));
  })();
  for (const version of [3, 4, 5]) await bench.release(releaseRef(world.model, version));
  expect(await ended(world, 3)).toEqual(['promoted', 'promoted', 'promoted']);
  over = true;
  await sender;
  expect(answers.length).toBeGreaterThan(5);
  expect(answers.filter(({ accepted, detail }) => !accepted && detail !== 'no rollout is in progress')).toEqual([]);
});

it('ends as cancelled when Temporal is asked to cancel, after taking back what it did', async () => {
  await bench.startWorkers();
  const world = bench.world();
  world.script.plan = { approvalsRequired: 0 };
  const request = world.request();
  const handle = await bench.startLifecycle(request);
  await eventually(
    () => bench.lifecycleStatus(request),
    ({ detail }) => detail.includes('waits for its end'),
  );
  await handle.cancel();
  const error: unknown = await handle.result().catch((reason: unknown) => reason);
  expect((error as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
  expect(world.withdrawn).toEqual([releaseRef(world.model, 1).digest]);
  expect(world.outcomes).toEqual(['cancelled']);
});

describe('a workflow worker that is killed', () => {
  const children: ChildProcess[] = [];
  afterAll(() => children.forEach((child) => child.kill('SIGKILL')));

  async function spawnWorker(): Promise<ChildProcess> {
    const argv = [...nodeEntry(resolve(__dirname, '../support/workflow-worker.ts')), server.address, server.namespace];
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    await new Promise<void>((ready, failed) => {
      child.stdout.once('data', () => ready());
      child.once('exit', (code) => failed(new Error(`the worker ended with ${code}`)));
    });
    return child;
  }

  it('I6: in the middle of a rollout costs a moment, and each effect happens once', async () => {
    const world = await bench.deployed();
    let letGo = (): void => undefined;
    const killed = new Promise<void>((go) => (letGo = go));
    world.script.canary = async ({ step }) => {
      if (step === 1) await killed;
      return canaryReport('pass');
    };
    await bench.startActivityWorkers();
    const first = await spawnWorker();
    await bench.release(releaseRef(world.model, 3));
    await eventually(
      () => world.routes.length,
      (generations) => generations === 4,
    );
    first.removeAllListeners('exit').kill('SIGKILL');
    const second = await spawnWorker();
    letGo();
    expect(await ended(world)).toEqual(['promoted']);
    expect(world.routes.slice(2).map((plan) => plan.intent)).toEqual([
      ...['rollout-3-3/step-0/on-2', 'rollout-3-3/step-1/on-3'],
      ...['rollout-3-3/step-2/on-4', 'rollout-3-3/promote/on-5'],
    ]);
    expect(world.rolloutEvents.map(({ event }) => event)).toEqual(['started', 'judged', 'judged', 'judged', 'ended']);
    second.removeAllListeners('exit').kill('SIGKILL');
  }, 90_000);
});

describe('monitor', () => {
  const look = async (world: FakeWorld, asOf: string): Promise<MonitorResult> =>
    (await server.client.workflow.execute(MONITOR, {
      workflowId: `${workflowIds.monitor(world.model)}/${asOf}`,
      taskQueue: TASK_QUEUES.control,
      args: [{ model: world.model, asOf }],
    })) as MonitorResult;

  it('records what it saw, and starts nothing where nothing moved', async () => {
    await bench.startWorkers();
    const world = bench.world();
    expect(await look(world, '2001-05-01T00:00:00Z')).toMatchObject({ decision: 'healthy', retrainRun: null });
    expect(world.calls).toEqual(['look', 'recordLook']);
  });

  it('starts one retrain for a look, with cause drift, newer data, its evidence and the code of the release that was judged', async () => {
    await bench.startWorkers();
    const world = bench.world();
    world.script.plan = { approvalsRequired: 2 };
    const retrainAsOf = '2001-05-06T00:00:00.000Z';
    world.script.look = { decision: 'retrain', detail: 'calibration is off', report: digestFor('report'), retrainAsOf };
    const handover = withHandOver(world);
    const { retrainRun } = await look(world, '2001-05-06T00:00:00Z');
    expect(retrainRun).toMatch(/^r-[0-9a-f]{10}-1$/);
    const again = await handover.startRetrain({
      model: world.model,
      asOf: retrainAsOf,
      report: digestFor('report'),
      look: 'x',
    });
    expect(again).toBe(retrainRun);
    const handle = server.client.workflow.getHandle(workflowIds.lifecycle(world.model, retrainRun!));
    const { events } = await handle.fetchHistory();
    const payload = events![0]!.workflowExecutionStartedEventAttributes!.input!.payloads![0]!.data!;
    const { request, command } = JSON.parse(Buffer.from(payload).toString('utf8')) as LifecycleInput;
    expect(request).toMatchObject({
      cause: 'drift',
      asOf: retrainAsOf,
      evidence: digestFor('report'),
      commit: 'commit of release 1',
      attempt: 1,
    });
    expect(documentOf(command)).toMatchObject({ action: 'run', args: { run: retrainRun } });
    await handle.terminate();
  });

  it('starts none while the last one is too recent', async () => {
    const world = bench.world();
    const handover = withHandOver(world);
    const input = { model: world.model, asOf: '2001-05-06T00:00:00Z', report: digestFor('report'), look: 'cooling' };
    expect(await handover.startRetrain(input)).toBeNull();
  });
});

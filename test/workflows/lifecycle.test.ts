import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { Envelope } from '../../workflows/domain/envelope';
import type { RunRequest, RunResult } from '../../workflows/domain/run';
import {
  approveSignal,
  approveUpdate,
  cancelRunUpdate,
  type Receipt,
  rejectUpdate,
  type RolloutEndedArgs,
  rolloutEndedSignal,
} from '../../workflows/lifecycle.messages';
import { DAY_MS, digestFor, fakeApproval, fakeCommand, releaseRef } from '../support/fake-documents';
import type { FakeWorld } from '../support/fake-world';
import { timeSkippingBench } from '../support/time-skipping-bench';
import { eventually, type WorkflowBench } from '../support/workflow-bench';

const { bench, sleep } = timeSkippingBench();

type Handle = Awaited<ReturnType<WorkflowBench['startLifecycle']>>;

async function startRun(
  world: FakeWorld,
  over: Partial<RunRequest> = {},
): Promise<{ handle: Handle; request: RunRequest }> {
  const request = world.request(undefined, over);
  return { handle: await bench.startLifecycle(request), request };
}

async function untilWaiting(request: RunRequest): Promise<void> {
  await eventually(
    () => bench.lifecycleStatus(request),
    (status) => status.stage === 'awaiting-approval',
  );
}

const approve = (handle: Handle, envelope: Envelope, updateId?: string): Promise<Receipt> =>
  handle.executeUpdate<Receipt, [Envelope]>(approveUpdate, { args: [envelope], ...(updateId ? { updateId } : {}) });

async function endRollout(
  handle: Handle,
  request: RunRequest,
  outcome: RolloutEndedArgs[0]['outcome'] = 'promoted',
): Promise<void> {
  await eventually(
    () => bench.lifecycleStatus(request),
    (status) => status.stage === 'rolling-out',
  );
  await handle.signal<RolloutEndedArgs>(rolloutEndedSignal, {
    model: request.model,
    run: request.run,
    outcome,
    detail: 'as told',
  });
}

describe('lifecycle', () => {
  it('goes from data to production through every stage in order', async () => {
    const world = bench.world();
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    await approve(handle, fakeApproval(releaseRef(world.model, 1), 'person:ana'));
    await approve(handle, fakeApproval(releaseRef(world.model, 1), 'person:ben'));
    await endRollout(handle, request);

    const result = (await handle.result()) as RunResult;
    expect(result).toEqual({
      model: world.model,
      run: request.run,
      outcome: 'promoted',
      detail: 'as told',
      version: 1,
      code: null,
    });
    expect(world.calls).toEqual([
      ...['admitRun', 'ingest', 'train', 'evaluate', 'judgeGates', 'registerRelease'],
      ...['recordApproval', 'recordApproval', 'handOver', 'finishRun'],
    ]);
  });

  it('enters at the gates with a model from elsewhere', async () => {
    const world = bench.world();
    world.script.plan = { approvalsRequired: 0 };
    const { handle, request } = await startRun(world, {
      imported: { onnx: digestFor('o'), signature: digestFor('s') },
      cause: 'import',
    });
    await endRollout(handle, request);
    await handle.result();
    expect(world.calls).toEqual([
      'admitRun',
      'ingest',
      'openImported',
      'evaluate',
      'judgeGates',
      'registerRelease',
      'handOver',
      'finishRun',
    ]);
  });

  it('waits for days at no cost: an approval after three days counts, and the wait adds one timer to the history', async () => {
    const world = bench.world();
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    const before = (await handle.describe()).historyLength;
    await sleep(3 * DAY_MS);
    expect((await handle.describe()).historyLength).toBe(before);
    await approve(handle, fakeApproval(releaseRef(world.model, 1), 'person:ana'));
    await approve(handle, fakeApproval(releaseRef(world.model, 1), 'person:ben'));
    await endRollout(handle, request);
    expect(((await handle.result()) as RunResult).outcome).toBe('promoted');
    const { events } = await handle.fetchHistory();
    const timers = events!.flatMap((event) => event.timerStartedEventAttributes ?? []);
    expect(timers.map((timer) => Number(timer.startToFireTimeout!.seconds))).toEqual([(7 * DAY_MS) / 1000, 86_400]);
  });

  it('expires when approvals do not come in time, and records who is missing', async () => {
    const world = bench.world();
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    await approve(handle, fakeApproval(releaseRef(world.model, 1), 'person:ana'));
    const result = (await handle.result()) as RunResult;
    expect(result).toMatchObject({
      outcome: 'expired',
      detail: '1 approval of release 1 did not come in time',
      version: 1,
    });
    expect(world.calls.filter((call) => call === 'recordApprovalExpiry')).toHaveLength(1);
    expect(world.calls).not.toContain('handOver');
  });

  it('I3: refuses each wrong approval with its reason and goes on waiting for distinct people', async () => {
    const world = bench.world();
    const release = releaseRef(world.model, 1);
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    const wrong = [
      fakeApproval(release, 'person:stranger'),
      fakeApproval(release, 'person:developer'),
      fakeApproval(release, 'person:ana', { workspace: 'prod' }),
      fakeApproval(release, 'person:ana', { evidence: digestFor('other') }),
      fakeApproval(releaseRef(world.model, 9), 'person:ana'),
      fakeApproval(release, 'person:ana'),
      fakeApproval(release, 'person:ana', { comment: 'again' }),
    ];
    const receipts: string[] = [];
    for (const envelope of wrong) {
      const receipt = await approve(handle, envelope);
      receipts.push(receipt.accepted ? receipt.detail : receipt.code);
    }
    expect(receipts).toEqual([
      'KEY_UNKNOWN',
      'APPROVAL_SELF',
      'WORKSPACE_MISMATCH',
      'APPROVAL_MISMATCH',
      'APPROVAL_MISMATCH',
      'approved; 1 more needed',
      'APPROVAL_DUPLICATE',
    ]);
    expect((await bench.lifecycleStatus(request)).stage).toBe('awaiting-approval');
    await approve(handle, fakeApproval(release, 'person:ben'));
    await endRollout(handle, request);
    expect(((await handle.result()) as RunResult).outcome).toBe('promoted');
  });

  it('answers an update that is sent twice once', async () => {
    const world = bench.world();
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    const envelope = fakeApproval(releaseRef(world.model, 1), 'person:ana');
    const first = await approve(handle, envelope, 'same-id');
    const second = await approve(handle, envelope, 'same-id');
    expect(second).toEqual(first);
    expect(world.calls.filter((call) => call === 'recordApproval')).toHaveLength(1);
    await handle.terminate();
  });

  it('counts the same payload by signal, also when it arrives before the release exists', async () => {
    const world = bench.world();
    const release = releaseRef(world.model, 1);
    let letTrain = (): void => undefined;
    const trained = new Promise<void>((resolve) => (letTrain = resolve));
    const train = world.train.bind(world);
    world.train = async () => trained.then(train);
    const { handle, request } = await startRun(world);
    await handle.signal(approveSignal, fakeApproval(release, 'person:ana'));
    await handle.signal(approveSignal, fakeApproval(release, 'person:ben'));
    await handle.signal(approveSignal, { malformed: true });
    expect((await bench.lifecycleStatus(request)).approvals).toEqual([]);
    letTrain();
    await endRollout(handle, request);
    expect(((await handle.result()) as RunResult).outcome).toBe('promoted');
    expect(world.approvals.map((approval) => approval.person)).toEqual(['person:ana', 'person:ben']);
  });

  it('refuses an approval after the decision, and has that audited', async () => {
    const world = bench.world();
    const release = releaseRef(world.model, 1);
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    await approve(handle, fakeApproval(release, 'person:ana'));
    await approve(handle, fakeApproval(release, 'person:ben'));
    await eventually(
      () => bench.lifecycleStatus(request),
      (status) => status.stage === 'rolling-out',
    );
    const late = await approve(handle, fakeApproval(release, 'person:eva'));
    expect(late).toMatchObject({ accepted: false, code: 'APPROVAL_LATE' });
    expect(world.refusedApprovals).toEqual(['APPROVAL_LATE']);
    await endRollout(handle, request);
    await handle.result();
  });

  it('ends with the first rejection', async () => {
    const world = bench.world();
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    await approve(handle, fakeApproval(releaseRef(world.model, 1), 'person:ana'));
    const envelope = fakeApproval(releaseRef(world.model, 1), 'person:ben', { decision: 'reject' });
    await handle.executeUpdate<Receipt, [Envelope]>(rejectUpdate, { args: [envelope] });
    expect((await handle.result()) as RunResult).toMatchObject({
      outcome: 'rejected',
      detail: 'person:ben rejected release 1',
    });
    expect(world.calls).not.toContain('handOver');
  });

  it('registers nothing when a gate is against it', async () => {
    const world = bench.world();
    world.script.gatesPass = false;
    const { handle, request } = await startRun(world);
    expect((await handle.result()) as RunResult).toMatchObject({
      outcome: 'gates-failed',
      code: 'GATES_FAILED',
      version: null,
    });
    expect(world.calls).not.toContain('registerRelease');
    expect(await bench.lifecycleStatus(request)).toMatchObject({
      stage: 'finished',
      ended: { outcome: 'gates-failed', stage: 'judging' },
    });
  });

  it('fails with the code of what went wrong, after that was recorded', async () => {
    const world = bench.world();
    world.script.failures.ingest = [
      ApplicationFailure.create({ type: 'DATA_SCHEMA', message: 'column delay is missing' }),
    ];
    const { handle } = await startRun(world);
    const error: unknown = await handle.result().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WorkflowFailedError);
    const cause = (error as WorkflowFailedError).cause as ApplicationFailure;
    expect(cause.type).toBe('DATA_SCHEMA');
    expect(cause.details![0]).toMatchObject({
      outcome: 'failed',
      detail: 'column delay is missing',
      code: 'DATA_SCHEMA',
    });
    expect(world.outcomes).toEqual(['failed']);
  });

  it('tries again what may pass by itself', async () => {
    const world = bench.world();
    world.script.plan = { approvalsRequired: 0 };
    world.script.failures.evaluate = [ApplicationFailure.create({ type: 'STORE_UNAVAILABLE', message: '503' })];
    const { handle, request } = await startRun(world);
    await endRollout(handle, request, 'rolled-back');
    expect((await handle.result()) as RunResult).toMatchObject({ outcome: 'rolled-back', code: 'ROLLOUT_FAILED' });
    expect(world.calls.filter((call) => call === 'evaluate')).toHaveLength(2);
  });

  it('is cancelled by a signed command while it waits, and refuses one of a stranger', async () => {
    const world = bench.world();
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    const cancel = (signer: string): Promise<Receipt> =>
      handle.executeUpdate<Receipt, [Envelope]>(cancelRunUpdate, {
        args: [fakeCommand(world.model, 'cancelRun', { run: request.run }, signer)],
      });
    expect(await cancel('person:stranger')).toMatchObject({ accepted: false, code: 'KEY_UNKNOWN' });
    expect(await cancel('person:olga')).toMatchObject({ accepted: true });
    expect((await handle.result()) as RunResult).toMatchObject({
      outcome: 'cancelled',
      detail: 'Cancelled by person:olga',
    });
    expect(world.withdrawn).toEqual([]);
  });

  it('takes its release back from the deployment when it is cancelled during the rollout', async () => {
    const world = bench.world();
    world.script.plan = { approvalsRequired: 0 };
    const { handle, request } = await startRun(world);
    await eventually(
      () => bench.lifecycleStatus(request),
      (status) => status.detail.includes('waits for its end'),
    );
    await handle.executeUpdate<Receipt, [Envelope]>(cancelRunUpdate, { args: [fakeCommand(world.model, 'cancelRun')] });
    expect((await handle.result()) as RunResult).toMatchObject({ outcome: 'cancelled', version: 1 });
    expect(world.withdrawn).toEqual([releaseRef(world.model, 1).digest]);
  });

  it('offers its release again each day, should the deployment have lost it', async () => {
    const world = bench.world();
    world.script.plan = { approvalsRequired: 0 };
    const { handle, request } = await startRun(world);
    await eventually(
      () => bench.lifecycleStatus(request),
      (status) => status.detail.includes('waits for its end'),
    );
    await sleep(2.5 * DAY_MS);
    expect(world.calls.filter((call) => call === 'handOver')).toHaveLength(3);
    await endRollout(handle, request);
    expect(((await handle.result()) as RunResult).outcome).toBe('promoted');
  });

  it('rejects a malformed envelope without a trace in the history', async () => {
    const world = bench.world();
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    const huge = { ...fakeApproval(releaseRef(world.model, 1), 'person:ana'), payload: 'A'.repeat(20_000) };
    await expect(approve(handle, huge)).rejects.toThrow();
    const { events } = await handle.fetchHistory();
    expect(events!.some((event) => event.workflowExecutionUpdateAcceptedEventAttributes)).toBe(false);
    await handle.terminate();
  });

  it('does not take a defect of its own code for an answer: the approval waits until the code is mended', async () => {
    const world = bench.world();
    world.recordApproval = async () => null as never;
    const { handle, request } = await startRun(world);
    await untilWaiting(request);
    await handle.signal(approveSignal, fakeApproval(releaseRef(world.model, 1), 'person:ana'));
    await eventually(
      async () => (await handle.fetchHistory()).events!.filter((event) => event.workflowTaskFailedEventAttributes),
      (failed) => failed.length > 0,
    );
    await handle.terminate();
  });
});

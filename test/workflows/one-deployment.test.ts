import { WorkflowFailedError } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { DEPLOYMENT } from '../../workflows/deployment.messages';
import { TASK_QUEUES } from '../../workflows/domain/names';
import { releaseRef } from '../support/fake-documents';
import { startTimeSkipping } from '../support/time-skipping';
import { WorkflowBench } from '../support/workflow-bench';

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

describe('a deployment under another id than that of its model', () => {
  it('is refused before it touches a route (I1)', async () => {
    const world = bench.world();
    const queued = { id: 'x', release: releaseRef(world.model, 1), run: null, actor: 'person:mallory' };
    const handle = await bench.client.workflow.start(DEPLOYMENT, {
      workflowId: `somebody/${world.model}`,
      taskQueue: TASK_QUEUES.control,
      args: [{ model: world.model, queue: [queued], seen: [] }],
    });
    const failure: unknown = await handle.result().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(WorkflowFailedError);
    expect((failure as WorkflowFailedError).cause).toMatchObject({ type: 'COMMAND_REFUSED' });
    expect(world.calls).toEqual([]);
  });
});

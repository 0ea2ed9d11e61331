import { WorkflowFailedError } from '@temporalio/client';
import { DEPLOYMENT } from '../../workflows/deployment.messages';
import { TASK_QUEUES } from '../../workflows/domain/names';
import { releaseRef } from '../support/fake-documents';
import { timeSkippingBench } from '../support/time-skipping-bench';

const { bench } = timeSkippingBench();

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

describe('a deployment that somebody starts with a state of their own making', () => {
  it('takes nothing of it: no release that nobody admitted, no answer that nobody gave, no champion (I1, I2)', async () => {
    const world = bench.world();
    world.serve(1, 2);
    const queued = { id: 'x', release: releaseRef(world.model, 3), run: null, actor: 'person:mallory' };
    await bench.startDeployment(world.model, {
      queue: [queued],
      seen: [{ id: 'nonce-1', accepted: true, code: null }],
      ended: [{ at: '2001-03-01T00:00:00.000Z', text: 'all is well' }],
      known: { generation: 9, champion: releaseRef(world.model, 9), previousChampion: null, state: 'retired' },
    });
    const receipt = await bench.command(world.model, 'rollback', {}, 'nonce-1');
    expect(receipt).toEqual({ accepted: true, detail: 'release 1 serves alone, generation 3' });
    const { queued: waiting, story } = await bench.deploymentStatus(world.model);
    expect(waiting).toEqual([]);
    expect(story.map(({ text }) => text)).not.toContain('all is well');
    expect(world.calls).not.toContain('prepareRollout');
  });
});

import { MAX_WAITING } from '../../workflows/inbox';
import { approveSignal, rolloutEndedSignal } from '../../workflows/lifecycle.messages';
import { fakeApproval, releaseRef } from '../support/fake-documents';
import { timeSkippingBench } from '../support/time-skipping-bench';
import { eventually } from '../support/workflow-bench';

const { bench } = timeSkippingBench();

describe('a signal that somebody typed wrongly', () => {
  it('does not wedge the run, nor end it', async () => {
    const world = bench.world();
    const request = world.request();
    const handle = await bench.startLifecycle(request);
    await eventually(
      () => bench.lifecycleStatus(request),
      (status) => status.stage === 'awaiting-approval',
    );
    const { run, model } = request;
    await handle.signal(rolloutEndedSignal);
    await handle.signal(rolloutEndedSignal, null);
    await handle.signal(rolloutEndedSignal, { run, model, outcome: 'splendid', detail: 'x' });
    await handle.signal(rolloutEndedSignal, { run, model, outcome: 'toString', detail: 'x' });
    await handle.signal(rolloutEndedSignal, { run, model, outcome: 'promoted', detail: { long: true } });
    const status = await eventually(
      () => bench.lifecycleStatus(request),
      ({ story }) => story.filter(({ text }) => text.includes('rolloutEnded')).length === 5,
    );
    expect(status.stage).toBe('awaiting-approval');
    await handle.terminate('seen enough');
  });

  it('is not kept without end before there is a release to approve', async () => {
    const world = bench.world();
    const request = world.request();
    let goOn = (): void => undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    const ingest = world.ingest.bind(world);
    world.ingest = () => held.then(ingest);
    const handle = await bench.startLifecycle(request);
    const approval = fakeApproval(releaseRef(request.model, 1), 'person:ana');
    for (let sent = 0; sent < MAX_WAITING + 3; sent += 1) await handle.signal(approveSignal, approval);
    const status = await eventually(
      () => bench.lifecycleStatus(request),
      ({ story }) => story.filter(({ text }) => text.includes('wait for an answer')).length === 3,
    );
    expect(status.stage).toBe('ingesting');
    await handle.terminate('seen enough');
    goOn();
  });
});

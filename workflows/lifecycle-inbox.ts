import {
  CancellationScope,
  condition,
  currentUpdateInfo,
  defineQuery,
  defineSignal,
  defineUpdate,
  setHandler,
} from '@temporalio/workflow';
import type { Envelope } from './domain/envelope';
import { type RolloutEnded, rolloutEndedProblem } from './domain/rollout';
import { reportFailure, rethrowDefects } from './failures';
import type { Delivery } from './inbox';
import { decideApproval } from './lifecycle-approval';
import type { LifecycleRun, MessageKind } from './lifecycle-run';
import {
  approveSignal,
  approveUpdate,
  cancelRunUpdate,
  type LifecycleStatus,
  type Receipt,
  rejectSignal,
  rejectUpdate,
  rolloutEndedSignal,
  statusQuery,
} from './lifecycle.messages';

const updateKinds = { [approveUpdate]: 'approve', [rejectUpdate]: 'reject', [cancelRunUpdate]: 'cancelRun' } as const;
const signalKinds = { [approveSignal]: 'approve', [rejectSignal]: 'reject' } as const;

/** Registers the handlers, which only put into the inbox, and starts the loop that answers. `scope` is what a cancellation ends. */
export function receiveMessages(run: LifecycleRun, scope: CancellationScope): void {
  for (const [name, kind] of Object.entries(updateKinds)) {
    setHandler(
      defineUpdate<Receipt, [Envelope]>(name),
      (envelope) => run.inbox.receiptFor(currentUpdateInfo()?.id ?? '', kind, envelope),
      {
        validator: (envelope) => run.inbox.check(envelope),
        description: 'A signed envelope; answers with a receipt or the reason against',
      },
    );
  }
  for (const [name, kind] of Object.entries(signalKinds)) {
    setHandler(defineSignal<[unknown]>(name), (envelope) => receiveSignal(run, kind, envelope), {
      description: 'The same signed envelope as the update',
    });
  }
  setHandler(defineSignal<[unknown]>(rolloutEndedSignal), (ended) => {
    const problem = rolloutEndedProblem(ended, run.request.run);
    if (problem) run.story.tell(`A signal ${rolloutEndedSignal} was ignored: ${problem}`);
    else run.rolloutEnded ??= ended as RolloutEnded;
  });
  setHandler(defineQuery<LifecycleStatus>(statusQuery), () => run.status());
  void CancellationScope.nonCancellable(() => answerApprovals(run));
  void CancellationScope.nonCancellable(() => answerCancellations(run, scope));
}

function receiveSignal(run: LifecycleRun, kind: MessageKind, envelope: unknown): void {
  const problem = run.inbox.problemOf(envelope);
  if (problem) run.story.tell(`A signal was ignored: ${problem}`);
  else run.inbox.put('signal', kind, envelope as Envelope);
}

/** Approvals that come before there is a release to approve are kept. */
async function answerApprovals(run: LifecycleRun): Promise<never> {
  const ready = (delivery: Delivery<MessageKind>): boolean =>
    delivery.kind !== 'cancelRun' && (run.candidate !== null || run.closed);
  for (;;) {
    await condition(() => run.inbox.has(ready));
    run.deciding = true;
    for (const delivery of run.inbox.take(ready)) run.inbox.answer(delivery, await decideApproval(run, delivery));
    run.deciding = false;
  }
}

/** A loop of its own: nothing that approvals wait for keeps a cancellation from being decided. */
async function answerCancellations(run: LifecycleRun, scope: CancellationScope): Promise<never> {
  const ready = (delivery: Delivery<MessageKind>): boolean => delivery.kind === 'cancelRun';
  for (;;) {
    await condition(() => run.inbox.has(ready));
    for (const delivery of run.inbox.take(ready)) run.inbox.answer(delivery, await decideCancel(run, delivery, scope));
  }
}

async function decideCancel(
  run: LifecycleRun,
  delivery: Delivery<MessageKind>,
  scope: CancellationScope,
): Promise<Receipt> {
  if (run.closed) return { accepted: false, code: 'COMMAND_REFUSED', detail: 'the run is over' };
  try {
    const answer = await run.control.admitCancel('Check the signed command to cancel', {
      request: run.request,
      command: delivery.envelope,
      delivery: delivery.id,
    });
    if (!answer.accepted) {
      run.story.tell(`A command to cancel was refused: ${answer.code}, ${answer.detail}`);
      return answer;
    }
    run.cancelledBy = answer.actor;
    run.story.tell(`${answer.actor} cancels the run`);
    scope.cancel();
    return { accepted: true, detail: 'the run is being cancelled' };
  } catch (error) {
    rethrowDefects(error);
    return { accepted: false, ...reportFailure(error) };
  }
}

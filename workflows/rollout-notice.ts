import { defineSignal, getExternalWorkflowHandle } from '@temporalio/workflow';
import { workflowIds } from './domain/names';
import type { RolloutEnded } from './domain/rollout';
import type { Deployment } from './deployment-state';
import { rethrowDefects } from './failures';
import type { HandOver } from './rollout-progress';
import { type RolloutEndedArgs, rolloutEndedSignal } from './lifecycle.messages';

const rolloutEnded = defineSignal<RolloutEndedArgs>(rolloutEndedSignal);

/** Tells the run that waits. One that is gone has stopped waiting: that is no failure of the rollout. */
export async function notifyRun(
  deployment: Deployment,
  run: string | null,
  end: Pick<RolloutEnded, 'outcome' | 'detail'>,
): Promise<void> {
  if (run === null) return;
  const { model } = deployment;
  try {
    await getExternalWorkflowHandle(workflowIds.lifecycle(model, run)).signal(rolloutEnded, { model, run, ...end });
  } catch (error) {
    rethrowDefects(error);
    deployment.story.tell(`Run ${run} no longer waits for the end of its rollout`);
  }
}

/** The end of what is in hand, to the run that waits for it now or hands it over while others are told. */
export async function tellEnd(
  deployment: Deployment,
  handOver: HandOver,
  end: NonNullable<HandOver['end']>,
): Promise<void> {
  handOver.end = end;
  await notifyRun(deployment, handOver.run, end);
}

/** A run hands over what is in hand already: it waits for the same end, which may have come in the moment. */
export async function joinHandOver(deployment: Deployment, handOver: HandOver, run: string | null): Promise<void> {
  if (run === null || handOver.run !== null) return;
  handOver.run = run;
  if (handOver.end) await notifyRun(deployment, run, handOver.end);
}

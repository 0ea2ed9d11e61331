import { defineSignal, getExternalWorkflowHandle } from '@temporalio/workflow';
import { workflowIds } from './domain/names';
import type { RolloutEnded } from './domain/rollout';
import type { Deployment } from './deployment-state';
import { rethrowDefects } from './failures';
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

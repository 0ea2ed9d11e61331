import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  setWorkflowOptions,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { serveCommands } from './deployment-commands';
import { receiveCommands } from './deployment-inbox';
import { rollOut } from './deployment-rollout';
import { Deployment } from './deployment-state';
import type { DeploymentInput } from './deployment.messages';
import { SEARCH_ATTRIBUTES } from './domain/names';
import { serveOnly } from './domain/rollout-steps';
import { reportFailure, rethrowDefects } from './failures';
import { notifyRun } from './rollout-notice';
import { setKeyword } from './search-attributes';
import { versioned } from './versioning';

/** It runs for ever, so it must follow the code; changes to it go behind `patched`. */
setWorkflowOptions(versioned('AUTO_UPGRADE'), deployment);

/**
 * The only committer of one model's routes, for ever (invariant I1). Each run reads as one rollout: it recovers what is so from the store,
 * waits for a release, rolls it out, and continues as new with what waits. Commands are served all the while.
 */
export async function deployment(input: DeploymentInput): Promise<never> {
  const current = new Deployment(input);
  receiveCommands(current);
  upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.model, current.model)]);
  await recover(current);
  void CancellationScope.nonCancellable(() => serveCommands(current));
  await takeNextRelease(current);
  // An accepted update that was not answered would be lost at continue-as-new.
  await condition(() => current.inbox.idle && allHandlersFinished());
  return await continueAsNew<typeof deployment>(current.carryOver());
}

/** A rollout whose workflow was lost is taken back: nobody knows what it had seen. */
async function recover(deployment: Deployment): Promise<void> {
  const { unfinished } = await deployment.recover();
  deployment.enter(
    'idle',
    `Recovered from the store: generation ${deployment.generation}, champion ${deployment.champion?.version ?? 'none'}`,
  );
  if (unfinished === null) return;
  const { id, release, run = null } = unfinished;
  const detail = 'its workflow was lost; the champion serves alone';
  try {
    await deployment.commitOver({
      intent: `${id}/recovered`,
      summary: `takes back ${id}, whose workflow was lost`,
      reason: `${id} was found unfinished`,
      actor: 'process:control',
      arms: deployment.champion ? serveOnly(deployment.champion) : [],
      state: deployment.champion ? deployment.state : 'retired',
    });
    await deployment.record.recordRollout('Record: rollout ended (rolled-back)', {
      ...{
        model: deployment.model,
        rollout: id,
        release,
        event: 'ended',
        outcome: 'rolled-back',
        detail,
        verdicts: [],
        evidence: [],
      },
    });
    await notifyRun(deployment, run, { outcome: 'rolled-back', detail });
  } catch (error) {
    rethrowDefects(error);
    deployment.halted = `${id} could not be taken back: ${reportFailure(error).detail}`;
    deployment.enter('halted', deployment.halted);
  }
}

/** Returns when a rollout ended, or when the history has grown so long by commands alone that a new run must begin. */
async function takeNextRelease(deployment: Deployment): Promise<void> {
  const ready = (): boolean =>
    deployment.queue.length > 0 && deployment.state !== 'frozen' && deployment.halted === null && !deployment.acting;
  await condition(() => ready() || (workflowInfo().continueAsNewSuggested && !deployment.acting));
  if (ready()) await rollOut(deployment, deployment.queue.shift()!);
}

import {
  allHandlersFinished,
  ApplicationFailure,
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
import { recover } from './deployment-recovery';
import { Deployment } from './deployment-state';
import type { DeploymentInput } from './deployment.messages';
import type { ErrorCode } from './domain/errors';
import { type ModelName, SEARCH_ATTRIBUTES, workflowIds } from './domain/names';
import { setKeyword } from './search-attributes';
import { versioned } from './versioning';

/** It runs for ever, so it must follow the code; changes to it go behind `patched`. */
setWorkflowOptions(versioned('AUTO_UPGRADE'), deployment);

/**
 * The only committer of one model's routes, for ever (invariant I1). Each run reads as one rollout: it recovers what is so from the store,
 * waits for a release, rolls it out, and continues as new with what waits. Commands are served all the while.
 */
export async function deployment(input: DeploymentInput): Promise<never> {
  refuseSecond(input.model);
  const current = new Deployment(carriedBySelf(input));
  receiveCommands(current);
  upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.model, current.model)]);
  void CancellationScope.nonCancellable(() => serveCommands(current));
  await recover(current);
  await takeNextRelease(current);
  // An accepted update that was not answered would be lost at continue-as-new.
  await condition(() => current.inbox.idle && allHandlersFinished());
  return await continueAsNew<typeof deployment>(current.carryOver());
}

/** Temporal allows one workflow of an id: under another id there would be two committers, each believing in what it had written last. */
function refuseSecond(model: ModelName): void {
  const { workflowId } = workflowInfo();
  if (workflowId === workflowIds.deployment(model)) return;
  const detail = `the deployment of ${model} is ${workflowIds.deployment(model)}, not ${workflowId}`;
  throw ApplicationFailure.nonRetryable(detail, 'COMMAND_REFUSED' satisfies ErrorCode);
}

/**
 * Queue, answers and story count only where the run before carried them over: whoever may start a workflow could say anything in them,
 * and nobody signed it. What they leave out on a first start is what an honest starter sends.
 */
function carriedBySelf(input: DeploymentInput): DeploymentInput {
  if (workflowInfo().continuedFromExecutionRunId !== undefined) return input;
  const { model, timeoutDivisor } = input;
  return { model, queue: [], seen: [], ...(timeoutDivisor === undefined ? {} : { timeoutDivisor }) };
}

/** Returns when a rollout ended, or when the history has grown so long by commands alone that a new run must begin. */
async function takeNextRelease(deployment: Deployment): Promise<void> {
  const ready = (): boolean =>
    deployment.queue.length > 0 && deployment.takesReleases && deployment.halted === null && !deployment.acting;
  await condition(() => ready() || (workflowInfo().continueAsNewSuggested && !deployment.acting));
  if (ready()) await rollOut(deployment, deployment.queue.shift()!);
}

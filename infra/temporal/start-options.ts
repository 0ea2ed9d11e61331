import {
  type TypedSearchAttributes as Typed,
  defineSearchAttributeKey,
  SearchAttributeType,
  TypedSearchAttributes,
} from '@temporalio/common';
import { shortDigest } from '../../workflows/domain/digest';
import type { Cause, ModelName } from '../../workflows/domain/names';
import { SEARCH_ATTRIBUTES, TASK_QUEUES, workflowIds } from '../../workflows/domain/names';
import { sayInstant } from '../../workflows/domain/instants';
import type { RunRequest } from '../../workflows/domain/run';

/** What every start of one of our workflows gives Temporal besides its input: the names people find it by. */
export interface StartOptions {
  readonly workflowId: string;
  readonly taskQueue: string;
  readonly typedSearchAttributes: Typed;
  readonly staticSummary: string;
  readonly staticDetails: string;
}

/** The same identity joins the run that exists; one that is over is not run again (`--retry` is another attempt, with another id). */
export function lifecycleStart(request: RunRequest): StartOptions & {
  readonly workflowIdConflictPolicy: 'USE_EXISTING';
  readonly workflowIdReusePolicy: 'REJECT_DUPLICATE';
} {
  const { model, run, cause, asOf } = request;
  return {
    workflowId: workflowIds.lifecycle(model, run),
    taskQueue: TASK_QUEUES.control,
    typedSearchAttributes: attributes(model, cause),
    staticSummary: `${model}: from data up to ${sayInstant(asOf)} to production (${cause})`,
    staticDetails: describeRunStart(request),
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
  };
}

/** One per model, started by the first release. */
export function deploymentStart(
  model: ModelName,
): StartOptions & { readonly workflowIdConflictPolicy: 'USE_EXISTING' } {
  return {
    workflowId: workflowIds.deployment(model),
    taskQueue: TASK_QUEUES.control,
    typedSearchAttributes: attributes(model),
    staticSummary: `${model}: what serves, and rollouts`,
    staticDetails: describeDeploymentStart(model),
    workflowIdConflictPolicy: 'USE_EXISTING',
  };
}

/** One look; `asOf` null is a look at the newest event time. */
export function monitorStart(model: ModelName, asOf: string | null): Omit<StartOptions, 'workflowId'> {
  return {
    taskQueue: TASK_QUEUES.control,
    typedSearchAttributes: attributes(model),
    staticSummary: `${model}: a look at its traffic and labels${asOf === null ? '' : ` up to ${sayInstant(asOf)}`}`,
    staticDetails: `Data quality, then drift of the inputs, then calibration on matured labels of **${model}**. What it decides is the result; a retrain is a run of its own.`,
  };
}

function describeRunStart({ model, run, commit, spec, evidence }: RunRequest): string {
  return [
    `One pass of **${model}**: read data, train, evaluate, apply the gates, sign and register a release, wait for approvals, hand it over to the deployment, wait for its end.`,
    [
      `- follow: \`slipway watch ${model} --run ${run}\``,
      `- what serves: workflow \`${workflowIds.deployment(model)}\``,
      `- commit: \`${commit}\``,
      `- spec: \`${shortDigest(spec)}\``,
      ...(evidence === null ? [] : [`- started because of evidence \`${shortDigest(evidence)}\``]),
    ].join('\n'),
  ].join('\n\n');
}

function describeDeploymentStart(model: ModelName): string {
  return [
    `The only committer of routes of **${model}**. It runs for ever, and each run is one rollout: the runs before this one are the rollouts before it.`,
    [
      `- what serves: \`slipway status ${model}\``,
      `- what served when, and why: \`slipway history ${model}\``,
      `- back to the release before: \`slipway rollback ${model}\``,
    ].join('\n'),
  ].join('\n\n');
}

function attributes(model: ModelName, cause?: Cause): Typed {
  const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
  return new TypedSearchAttributes([
    { key: keyword(SEARCH_ATTRIBUTES.model), value: model },
    ...(cause === undefined ? [] : [{ key: keyword(SEARCH_ATTRIBUTES.cause), value: cause }]),
  ]);
}

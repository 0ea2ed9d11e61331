import {
  type TypedSearchAttributes as Typed,
  defineSearchAttributeKey,
  SearchAttributeType,
  TypedSearchAttributes,
} from '@temporalio/common';
import type { Cause, ModelName } from '../../workflows/domain/names';
import { SEARCH_ATTRIBUTES, TASK_QUEUES, workflowIds } from '../../workflows/domain/names';
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
    staticSummary: `${model}: run ${run}, ${cause}`,
    staticDetails: `One pass of **${model}** from data up to ${asOf} to production. Commit \`${request.commit}\`, spec \`${request.spec}\`.`,
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
    staticDetails: `The only committer of routes of **${model}**. Runs for ever; each run is one rollout.`,
    workflowIdConflictPolicy: 'USE_EXISTING',
  };
}

function attributes(model: ModelName, cause?: Cause): Typed {
  const keyword = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
  return new TypedSearchAttributes([
    { key: keyword(SEARCH_ATTRIBUTES.model), value: model },
    ...(cause === undefined ? [] : [{ key: keyword(SEARCH_ATTRIBUTES.cause), value: cause }]),
  ]);
}

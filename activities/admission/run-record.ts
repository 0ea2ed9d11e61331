import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import { TASK_QUEUES } from '../../workflows/domain/names';
import type { RunPlan, RunRequest } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import { canonicalBytes, digestOfJson } from '../../infra/object-store/digest';
import type { ObjectStore } from '../../infra/object-store/port';

/** Runs and models are parts of store keys. */
const runPattern = /^r-[0-9a-f]{10}-[1-9][0-9]{0,5}$/;

/** Throws COMMAND_REFUSED, WORKSPACE_MISMATCH for a request that no run can have. */
export function checkRequest(request: RunRequest, workspace: string): void {
  if (!runPattern.test(request.run))
    throw new SlipwayError('COMMAND_REFUSED', `${JSON.stringify(String(request.run).slice(0, 80))} is no id of a run`);
  if (!request.run.endsWith(`-${request.attempt}`))
    throw new SlipwayError('COMMAND_REFUSED', `run ${request.run} is not attempt ${request.attempt}`);
  if (request.workspace !== workspace)
    throw new SlipwayError(
      'WORKSPACE_MISMATCH',
      `the run is for workspace ${JSON.stringify(request.workspace)}, this is ${workspace}`,
    );
}

/** What a run is, whoever asks for it and when: a run that was lost may be asked for again. */
function identityOf(request: RunRequest): string {
  const { workspace, model, run, attempt, commit, spec, asOf, imported, from } = request;
  return digestOfJson({ workspace, model, run, attempt, commit, spec, asOf, imported, from });
}

/** Throws COMMAND_REPLAYED for a run that has ended, COMMAND_REFUSED where the id belongs to a run of something else. */
export async function checkRunIsNew(store: ObjectStore, request: RunRequest): Promise<void> {
  if (await store.get(keys.runResult(request.model, request.run)))
    throw new SlipwayError('COMMAND_REPLAYED', `run ${request.run} has ended; \`--retry\` starts its next attempt`);
  const bytes = await store.get(keys.runRequest(request.model, request.run));
  if (!bytes) return;
  const existing = JSON.parse(Buffer.from(bytes).toString('utf8')) as RunRequest;
  if (identityOf(existing) !== identityOf(request))
    throw new SlipwayError('COMMAND_REFUSED', `run ${request.run} is one of other inputs`);
}

export async function writeRequest(store: ObjectStore, request: RunRequest): Promise<void> {
  // Where one is already, it has the same identity: that was checked before the entry was written.
  await store.create(keys.runRequest(request.model, request.run), canonicalBytes(request));
}

/** Approvals by the spec, but no fewer than the workspace's policy asks for. */
export function planRun(spec: ModelSpec, minApprovals: number): Omit<RunPlan, 'startedBy' | 'audit'> {
  return {
    trainingQueue: spec.training.queue === 'gpu' ? TASK_QUEUES.gpu : TASK_QUEUES.compute,
    trainingTimeoutMs: spec.training.timeoutMs,
    approvalsRequired: Math.max(spec.approvals.required, minApprovals),
    approvalsWithinMs: spec.approvals.withinMs,
  };
}

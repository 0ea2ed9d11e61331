import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  condition,
  isCancellation,
  setWorkflowOptions,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { shortDigest } from './domain/digest';
import { ERRORS, type ErrorCode } from './domain/errors';
import { sayInstant } from './domain/instants';
import { SEARCH_ATTRIBUTES } from './domain/names';
import type { ReleaseRef } from './domain/release';
import type { RolloutOutcome } from './domain/rollout';
import type {
  EvaluateResult,
  IngestResult,
  JudgedGates,
  RunOutcome,
  RunPlan,
  RunResult,
  TrainResult,
} from './domain/run';
import { counted } from './domain/wording';
import { reportFailure, rethrowDefects } from './failures';
import { awaitApproval, type ApprovalEnd } from './lifecycle-approval';
import { describeResult } from './lifecycle-details';
import { receiveMessages } from './lifecycle-inbox';
import { LifecycleRun } from './lifecycle-run';
import type { LifecycleInput, LifecycleResult } from './lifecycle.messages';
import { setKeyword } from './search-attributes';
import { versioned } from './versioning';

const OFFER_AGAIN_MS = 24 * 3_600_000;

interface Ended {
  readonly outcome: RunOutcome;
  readonly detail: string;
  readonly code: ErrorCode | null;
}

/** A run is short enough to stay on the code that it began with. */
setWorkflowOptions(versioned('PINNED'), lifecycle);

/**
 * One pass from data to production. A decision against the release (gates, approvers, canary) is a result; a run that failed or was
 * refused fails, with its code as the failure's type and its `RunResult` as the failure's details.
 */
export async function lifecycle(input: LifecycleInput): Promise<LifecycleResult> {
  const run = new LifecycleRun(input);
  const scope = new CancellationScope();
  receiveMessages(run, scope);
  const ended = await runToEnd(run, scope);
  return await CancellationScope.nonCancellable(() => finish(run, ended));
}

/** The process, top to bottom. */
async function conduct(run: LifecycleRun): Promise<Ended> {
  const plan = await admit(run);
  const ingest = await ingestData(run);
  const training = await trainOrOpen(run, plan, ingest);
  const evaluation = await evaluateModel(run, ingest, training);
  const judged = await judge(run, evaluation);
  if (!judged.passed) return end('gates-failed', `Gates against it: ${namesOfFailed(judged)}`, 'GATES_FAILED');
  const release = await register(run, plan, ingest, training, evaluation, judged);
  const approval = await waitForApproval(run, plan, release, judged);
  if (approval.state !== 'approved') return endUnapproved(release, approval);
  const refusal = await handOver(run, release);
  return refusal ?? (await waitForRollout(run, release));
}

async function admit(run: LifecycleRun): Promise<RunPlan> {
  const { request } = run;
  upsertSearchAttributes([
    setKeyword(SEARCH_ATTRIBUTES.model, request.model),
    setKeyword(SEARCH_ATTRIBUTES.cause, request.cause),
  ]);
  run.enter('admitting', 'Checks who starts this run, and on what.');
  run.plan = await run.control.admitRun(`Check the signed command that starts ${request.run}`, {
    request,
    command: run.command,
  });
  return run.plan;
}

async function ingestData(run: LifecycleRun): Promise<IngestResult> {
  const asOf = sayInstant(run.request.asOf);
  run.enter('ingesting', `Reads the data up to ${asOf} into a snapshot.`);
  const ingest = await run.compute.ingest(`Read the data up to ${asOf} into an immutable snapshot`, {
    request: run.request,
  });
  const { rows } = ingest;
  run.story.tell(
    `Snapshot of ${rows.train} rows to train on, ${rows.validation} to validate, ${rows.holdout} held out; ${rows.quarantined} in quarantine`,
  );
  return ingest;
}

async function trainOrOpen(run: LifecycleRun, plan: RunPlan, ingest: IngestResult): Promise<TrainResult> {
  const { request } = run;
  if (request.imported) {
    run.enter('training', 'Opens the model that was trained elsewhere, under limits.');
    return run.compute.openImported('Open the imported model under limits and check its signature', { request });
  }
  run.enter('training', `Trains on ${ingest.rows.train} rows, on queue ${plan.trainingQueue}.`);
  const training = await run.training(plan).train(`Train on ${ingest.rows.train} rows`, { request, ingest });
  run.story.tell(
    `Trained by ${training.trainer} in ${training.epochs} epochs${training.resumedFromEpoch > 0 ? `, taken up again at epoch ${training.resumedFromEpoch}` : ''}`,
  );
  return training;
}

async function evaluateModel(run: LifecycleRun, ingest: IngestResult, training: TrainResult): Promise<EvaluateResult> {
  run.enter(
    'evaluating',
    `Scores ${ingest.rows.holdout} held-out rows with the candidate, a trivial baseline and the champion.`,
  );
  return run.compute.evaluate(`Score ${ingest.rows.holdout} held-out rows with candidate, baseline and champion`, {
    request: run.request,
    ingest,
    training,
  });
}

async function judge(run: LifecycleRun, evaluation: EvaluateResult): Promise<JudgedGates> {
  run.enter('judging', 'Applies the gates of the spec to the evidence.');
  const judged = await run.judging.judgeGates('Apply the gates of the spec to the evidence', {
    request: run.request,
    evaluation,
  });
  run.gates = judged.gates;
  run.story.tell(
    judged.passed ? `All ${judged.gates.length} gates passed` : `Gates against it: ${namesOfFailed(judged)}`,
  );
  return judged;
}

async function register(
  run: LifecycleRun,
  plan: RunPlan,
  ingest: IngestResult,
  training: TrainResult,
  evaluation: EvaluateResult,
  judged: JudgedGates,
): Promise<ReleaseRef> {
  run.enter('registering', 'Signs the model and registers it as a release.');
  const { startedBy, approvalsRequired } = plan;
  const input = { request: run.request, ingest, training, evaluation, judged, startedBy, approvalsRequired };
  const release = await run.irreversible.registerRelease('Sign the model and register it as a release', input);
  run.release = release;
  run.story.tell(`Registered as release ${release.version}, ${shortDigest(release.digest)}`);
  return release;
}

async function waitForApproval(
  run: LifecycleRun,
  plan: RunPlan,
  release: ReleaseRef,
  judged: JudgedGates,
): Promise<ApprovalEnd> {
  const wanted =
    plan.approvalsRequired === 0
      ? 'needs no approval in this workspace'
      : `waits for ${counted(plan.approvalsRequired, 'approval')}`;
  run.enter('awaiting-approval', `Release ${release.version} ${wanted}.`);
  return awaitApproval(run, release, judged.evidence);
}

function endUnapproved(release: ReleaseRef, approval: Exclude<ApprovalEnd, { state: 'approved' }>): Ended {
  if (approval.state === 'rejected')
    return end('rejected', `${approval.by} rejected release ${release.version}`, 'RELEASE_UNAPPROVED');
  return end(
    'expired',
    `${counted(approval.missing, 'approval')} of release ${release.version} did not come in time`,
    'RELEASE_UNAPPROVED',
  );
}

/** Null: the deployment took it. */
async function handOver(run: LifecycleRun, release: ReleaseRef): Promise<Ended | null> {
  const { request } = run;
  run.enter('rolling-out', `Hands release ${release.version} over to the deployment of ${request.model}.`);
  run.compensations.push({
    what: `take release ${release.version} back from the deployment`,
    undo: () =>
      run.irreversible.withdrawRelease(`Take release ${release.version} back from the deployment`, {
        request,
        release,
        reason: 'its run was cancelled',
      }),
  });
  const answer = await run.irreversible.handOver(
    `Hand release ${release.version} over to deployment/${request.model}`,
    { request, release },
  );
  if (!answer.accepted)
    return end(
      'refused',
      `The deployment refused release ${release.version}: ${answer.detail}`,
      answer.code ?? 'COMMAND_REFUSED',
    );
  run.story.tell(`The deployment took it: ${answer.detail}`);
  return null;
}

async function waitForRollout(run: LifecycleRun, release: ReleaseRef): Promise<Ended> {
  run.detail = `Release ${release.version} is being rolled out; waits for its end.`;
  run.story.show();
  const isOver = (): boolean => run.rolloutEnded !== null;
  // A deployment that was terminated forgets what waited in its queue: it is offered again, which changes nothing where it is known.
  while (
    !(await condition(isOver, OFFER_AGAIN_MS, { summary: 'ask daily whether the deployment still has the release' }))
  ) {
    const { request } = run;
    await run.irreversible.handOver(`Ask deployment/${request.model} whether it still has release ${release.version}`, {
      request,
      release,
    });
  }
  return endOfRollout(run);
}

const outcomeOfRollout: Readonly<
  Record<RolloutOutcome, { readonly outcome: RunOutcome; readonly code: ErrorCode | null }>
> = {
  promoted: { outcome: 'promoted', code: null },
  'rolled-back': { outcome: 'rolled-back', code: 'ROLLOUT_FAILED' },
  inconclusive: { outcome: 'inconclusive', code: 'ROLLOUT_FAILED' },
  aborted: { outcome: 'rolled-back', code: 'ROLLOUT_FAILED' },
  refused: { outcome: 'refused', code: 'COMMAND_REFUSED' },
};

function endOfRollout(run: LifecycleRun): Ended {
  const { outcome, code } = outcomeOfRollout[run.rolloutEnded!.outcome];
  return end(outcome, run.rolloutEnded!.detail, code);
}

async function runToEnd(run: LifecycleRun, scope: CancellationScope): Promise<Ended> {
  try {
    return await scope.run(() => conduct(run));
  } catch (error) {
    rethrowDefects(error);
    await CancellationScope.nonCancellable(() => run.compensate());
    // What the deployment decided before it heard of the cancellation stands.
    if (run.rolloutEnded?.outcome === 'promoted') return endOfRollout(run);
    if (isCancellation(error))
      return end('cancelled', `Cancelled by ${run.cancelledBy ?? 'a request to Temporal'}`, null);
    const { code, detail } = reportFailure(error);
    return end(run.plan === null && ERRORS[code].exit === 4 ? 'refused' : 'failed', detail, code);
  }
}

/** Records the end, answers who still waits for an answer, and closes. */
async function finish(run: LifecycleRun, ended: Ended): Promise<LifecycleResult> {
  const { request } = run;
  const recorded = await recordEnd(run, ended);
  const result: RunResult = {
    model: request.model,
    run: request.run,
    version: run.release?.version ?? null,
    ...recorded,
  };
  upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.verdict, result.outcome)]);
  run.close();
  run.ended = { outcome: result.outcome, stage: run.stage };
  run.enter('finished', describeResult(result));
  await condition(() => run.inbox.idle && allHandlersFinished());
  if (result.outcome === 'failed' || result.outcome === 'refused')
    throw ApplicationFailure.nonRetryable(result.detail, result.code ?? 'INTERNAL', result);
  if (result.outcome === 'cancelled' && run.cancelledBy === null) throw new CancelledFailure(result.detail, [result]);
  return result;
}

async function recordEnd(run: LifecycleRun, ended: Ended): Promise<Ended> {
  try {
    const input = {
      request: run.request,
      outcome: ended.outcome,
      detail: ended.detail,
      version: run.release?.version ?? null,
      code: ended.code,
    };
    await run.control.finishRun(`Record how the run ended: ${ended.outcome}`, input);
    return ended;
  } catch (error) {
    rethrowDefects(error);
    const { code, detail } = reportFailure(error);
    return end('failed', `${ended.outcome}, but it could not be recorded: ${detail}`, code);
  }
}

function namesOfFailed(judged: JudgedGates): string {
  const against = judged.gates.filter((gate) => gate.outcome !== 'pass');
  return against.length === 0 ? 'none applied' : against.map((gate) => `${gate.gate} ${gate.outcome}`).join(', ');
}

function end(outcome: RunOutcome, detail: string, code: ErrorCode | null): Ended {
  return { outcome, detail, code };
}

import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import { activitiesOf, type CallOptions } from './activity-presets';
import { TASK_QUEUES } from './domain/names';
import type { CanaryReport, QualityReport } from './domain/rollout';
import { decideStep, needsQuality, type StepDecision } from './domain/rollout-steps';
import type { Deployment } from './deployment-state';
import type { DeploymentComputeActivities, DeploymentControlActivities, WatchInput } from './deployment.activities';
import { reportFailure, rethrowDefects } from './failures';
import type { RolloutProgress } from './rollout-progress';

/** A watch may need so long to see that its step is over. */
const WATCH_SLACK_MS = 2 * 60_000;
/** How long a step that is over waits for what the quality watch has seen so far. */
const LAST_REPORT_MS = 15_000;

/** Longer than anybody leaves a rollout paused. */
const HOLD_MS = 30 * 24 * 3_600_000;

interface Seen {
  canary: CanaryReport | null;
  quality: QualityReport | null;
  failure: unknown;
}

/** Watches one step until it is decided, extended as often as the spec allows. */
export async function watchStep(
  deployment: Deployment,
  progress: RolloutProgress,
): Promise<Exclude<StepDecision, 'again' | 'extend'>> {
  const { spec, step } = progress;
  const startedAtMs = Date.now();
  const eventStartMs = progress.watermarkMs;
  for (let extension = 0; ;) {
    const seen = await watchOnce(deployment, progress, { startedAtMs, eventStartMs, extension });
    keep(progress, seen);
    const qualityNeeded = needsQuality(spec, step) && !progress.qualityPassed;
    const extensionsLeft = spec.extensions - extension;
    const decision = decideStep({ canary: seen.canary, quality: seen.quality, qualityNeeded, extensionsLeft });
    if (decision === 'take-back' || decision === 'lost') return conclude(deployment, progress, decision);
    if (progress.skip || progress.promote) {
      progress.skip = false;
      progress.decidedStep = step;
      // How far event time had come is not known: the next step begins with its own first request, not with this one's.
      if (seen.canary === null) progress.watermarkMs = null;
      return 'next';
    }
    if (decision === 'again' || progress.paused) continue;
    if (decision !== 'extend') return conclude(deployment, progress, decision);
    extension += 1;
    deployment.story.tell(`Step ${step + 1} is not decided yet: extension ${extension} of ${spec.extensions}`);
  }
}

function keep(progress: RolloutProgress, { canary, quality }: Seen): void {
  if (canary) progress.canaryVerdicts = canary.verdicts;
  if (quality) progress.qualityVerdict = quality.verdict;
  const reports = [canary, quality].filter((report) => report !== null);
  if (reports.length > 0) progress.evidence = reports.map((report) => report.evidence);
  if (canary?.watermark) progress.watermarkMs = Date.parse(canary.watermark);
}

/** The verdicts are in the audit log before what follows from them. */
async function conclude<Decision extends StepDecision>(
  deployment: Deployment,
  progress: RolloutProgress,
  decision: Decision,
): Promise<Decision> {
  const { rollout, step, verdicts, evidence } = progress;
  const detail = `step ${step + 1} of ${progress.steps.length}: ${decision}`;
  progress.decidedStep = step;
  deployment.story.tell(`Judged ${detail}`);
  await deployment.record.recordRollout(`Record the verdicts of step ${step + 1}: ${decision}`, {
    model: deployment.model,
    rollout: rollout.id,
    release: rollout.release,
    event: 'judged',
    outcome: null,
    ...{ detail, verdicts, evidence },
  });
  return decision;
}

type Window = Pick<WatchInput, 'startedAtMs' | 'eventStartMs'> & { readonly extension: number };

/**
 * Errors and disagreement on the control queue, paired quality on the compute queue, both at once. Nothing here waits for the compute
 * queue: a rollback cancels the wait itself, and a step that is over gives quality a moment for its last word.
 */
async function watchOnce(deployment: Deployment, progress: RolloutProgress, window: Window): Promise<Seen> {
  const seen: Seen = { canary: null, quality: null, failure: null };
  const hold = progress.paused;
  const input = watchInput(deployment, progress, window, hold);
  const watching = new CancellationScope();
  const judging = new CancellationScope();
  const look = {
    divisor: deployment.divisor,
    startToCloseMs: Math.max(0, input.endsAtMs - Date.now()) + (hold ? HOLD_MS : WATCH_SLACK_MS),
  };
  try {
    onTheSide(watching, async () => {
      seen.canary = await activitiesOf<DeploymentControlActivities>('watcher', look).watchCanary(
        describeWatch(progress),
        input,
      );
    }).catch((error: unknown) => (seen.failure = error));
    const judged = judgeQuality(deployment, progress, judging, input, look, seen);
    const unpaused = (): boolean => hold && !progress.paused;
    await condition(() => isOver(seen) || progress.skip || progress.promote || unpaused());
    if (seen.failure !== null) throw seen.failure as Error;
    if (seen.canary?.reason === 'step-over') {
      judging.cancel();
      await condition(() => judged.done, LAST_REPORT_MS, {
        summary: 'The step is over: a moment for the last word on quality',
      });
    }
    return seen;
  } finally {
    watching.cancel();
    judging.cancel();
  }
}

function isOver(seen: Seen): boolean {
  return seen.canary !== null || seen.failure !== null || seen.quality?.verdict.outcome === 'fail';
}

/** Quality that cannot be judged stays open, which never counts as good (invariant I5). */
function judgeQuality(
  deployment: Deployment,
  progress: RolloutProgress,
  scope: CancellationScope,
  input: WatchInput,
  look: CallOptions,
  seen: Seen,
): { done: boolean } {
  if (!progress.rollout.spec.quality || progress.qualityPassed) return { done: true };
  const judged = { done: false };
  const { watchQuality } = activitiesOf<DeploymentComputeActivities>('watcher', {
    ...look,
    queue: TASK_QUEUES.compute,
  });
  onTheSide(scope, async () => {
    seen.quality = await watchQuality(
      `Judge release ${progress.rollout.release.version} against the champion on matured labels`,
      input,
    );
  })
    .catch((error: unknown) => deployment.story.tell(`Quality could not be judged: ${reportFailure(error).detail}`))
    .finally(() => (judged.done = true));
  return judged;
}

function watchInput(deployment: Deployment, progress: RolloutProgress, window: Window, hold: boolean): WatchInput {
  const { rollout, step, generations } = progress;
  const endsAtMs = window.startedAtMs + progress.steps[step]!.forMs * (1 + window.extension);
  return { model: deployment.model, rollout, step, generations, endsAtMs, hold, ...window };
}

function describeWatch(progress: RolloutProgress): string {
  const { rollout, step, steps, challengerWeight } = progress;
  return `Watch errors and disagreement of release ${rollout.release.version} at ${Math.round(challengerWeight * 100)} % (step ${step + 1} of ${steps.length})`;
}

/** Runs in a scope of its own, so that ending the scope never waits for the worker. Rejects for failures only. */
async function onTheSide(scope: CancellationScope, look: () => Promise<void>): Promise<void> {
  try {
    await scope.run(look);
  } catch (error) {
    rethrowDefects(error);
    if (!isCancellation(error)) throw error;
  }
}

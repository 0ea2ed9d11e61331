import { CancellationScope, condition, isCancellation, upsertSearchAttributes } from '@temporalio/workflow';
import { clip } from './activity-presets';
import { SEARCH_ATTRIBUTES } from './domain/names';
import type { ReleaseRef } from './domain/release';
import type { RolloutOutcome } from './domain/rollout';
import { explainVerdicts, serveOnly, splitTraffic } from './domain/rollout-steps';
import type { Deployment } from './deployment-state';
import type { QueuedRelease } from './deployment.messages';
import { failedWith, reportFailure, rethrowDefects } from './failures';
import { tellEnd } from './rollout-notice';
import { type HandOver, RolloutPreparation, RolloutProgress, type RolloutUndo } from './rollout-progress';
import { setKeyword } from './search-attributes';
import { watchStep } from './rollout-watch';

interface RolloutEnd {
  readonly outcome: RolloutOutcome;
  readonly detail: string;
  readonly actor: string;
}

/** It goes into signals, the audit log and the details that people read. */
const DETAIL_LIMIT = 1000;
/** Nobody's decision but that of the verdicts. */
const CONTROL = 'process:control';

/**
 * One release from hand-over to its end, as a scope that a command may cancel at any point. Whatever ends it against the release, the
 * champion serves alone when this returns, or the deployment is halted and says so.
 */
export async function rollOut(deployment: Deployment, { release, run }: QueuedRelease): Promise<void> {
  const handOver: HandOver = { release, run, end: null };
  deployment.preparation = new RolloutPreparation(handOver);
  const progress = await prepare(deployment, deployment.preparation);
  deployment.preparation = null;
  if (!(progress instanceof RolloutProgress)) return endUnbegun(deployment, handOver, progress);
  deployment.rollout = progress;
  const ended = await attempt(deployment, progress);
  await CancellationScope.nonCancellable(async () => {
    if (ended.outcome !== 'promoted') await takeBack(deployment, progress, ended);
    await conclude(deployment, progress, ended);
  });
  deployment.rollout = null;
}

/** The rollout, or why there is none. */
async function prepare(deployment: Deployment, preparation: RolloutPreparation): Promise<RolloutProgress | RolloutEnd> {
  const { release, run } = preparation.handOver;
  const { champion, generation } = deployment;
  const input = { release, run, champion, attempt: generation + 1 };
  const summary = `Verify release ${release.version}: signature, digest, approvals`;
  try {
    const prepared = await preparation.scope.run(() => deployment.quick.prepareRollout(summary, input));
    // A command may have ended it in the very moment that it was found good.
    if (preparation.stop) return stopped(preparation);
    if (prepared.accepted) return new RolloutProgress(prepared.rollout, prepared.assignment, preparation.handOver);
    return against('refused', `${prepared.code}: ${prepared.detail}`);
  } catch (error) {
    rethrowDefects(error);
    if (preparation.stop) return stopped(preparation);
    if (isCancellation(error)) throw error;
    const { code, detail } = reportFailure(error);
    return against('refused', `${code}: ${detail}`);
  }
}

/** Nothing was committed: whoever handed the release over is told, and commands need not wait for it. */
async function endUnbegun(deployment: Deployment, handOver: HandOver, ended: RolloutEnd): Promise<void> {
  const { release } = handOver;
  const { outcome, detail, actor } = ended;
  upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.verdict, outcome)]);
  const was = outcome === 'refused' ? 'refused' : `${outcome} before its rollout began`;
  deployment.story.tell(`Release ${release.version} was ${was}: ${detail}`);
  const rollout = `rollout-${release.version}-${deployment.generation + 1}`;
  await CancellationScope.nonCancellable(async () => {
    await record(deployment, { rollout, release, event: 'ended', outcome, detail, actor });
    await tellEnd(deployment, handOver, { outcome, detail });
  });
}

async function attempt(deployment: Deployment, progress: RolloutProgress): Promise<RolloutEnd> {
  try {
    return await progress.scope.run(() => conduct(deployment, progress));
  } catch (error) {
    rethrowDefects(error);
    if (isCancellation(error)) return stopped(progress);
    const { code, detail } = reportFailure(error);
    if (code !== 'STORE_CONFLICT') return against('aborted', `${code}: ${detail}`);
    await CancellationScope.nonCancellable(() => deployment.recover());
    return against('aborted', `another writer committed generation ${deployment.generation} first`);
  }
}

function stopped({ stop: told }: RolloutProgress | RolloutPreparation): RolloutEnd {
  const stop = told ?? { outcome: 'aborted', reason: 'cancelled through Temporal', actor: CONTROL };
  return { outcome: stop.outcome, detail: stop.reason, actor: stop.actor };
}

/** The rollout, top to bottom. */
async function conduct(deployment: Deployment, progress: RolloutProgress): Promise<RolloutEnd> {
  await begin(deployment, progress);
  const { champion } = deployment;
  if (champion === null) return bootstrap(deployment, progress);
  progress.compensations.push({
    what: 'let the champion serve alone',
    undo: (why) => restoreChampion(deployment, progress, why),
  });
  for (progress.step = 0; progress.step < progress.steps.length && !progress.promote; progress.step += 1) {
    await shiftTraffic(deployment, progress, champion);
    const decision = await watchStep(deployment, progress);
    if (decision === 'lost') return endLost(deployment);
    if (decision === 'inconclusive') return against('inconclusive', explainVerdicts(progress.verdicts));
    if (decision === 'take-back') return against('rolled-back', explainVerdicts(progress.verdicts));
  }
  progress.step = progress.steps.length - 1;
  await promote(deployment, progress);
  return { outcome: 'promoted', detail: explainVerdicts(progress.verdicts), actor: CONTROL };
}

async function begin(deployment: Deployment, progress: RolloutProgress): Promise<void> {
  const { id, release } = progress.rollout;
  upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.verdict, 'inconclusive')]);
  deployment.enter('rolling-out', `Rollout ${id} of release ${release.version} begins`);
  const detail = deployment.champion ? `against champion ${deployment.champion.version}` : 'first release';
  await record(deployment, { rollout: id, release, event: 'started', outcome: null, detail, actor: CONTROL });
}

async function shiftTraffic(deployment: Deployment, progress: RolloutProgress, champion: ReleaseRef): Promise<void> {
  const { rollout, step, steps, assignment } = progress;
  const { weight } = steps[step]!;
  const percent = `${Math.round(weight * 1000) / 10} %`;
  await deployment.commit({
    intent: `${rollout.id}/step-${step}`,
    summary: `${percent} of callers to release ${rollout.release.version}`,
    reason: `step ${step + 1} of ${steps.length} of ${rollout.id}: ${percent} of callers`,
    actor: CONTROL,
    arms: splitTraffic(champion, rollout.release, weight),
    paired: true,
    rollout: { id: rollout.id, step },
    evidence: progress.evidence,
    assignment,
  });
  progress.challengerWeight = weight;
  progress.generations.push(deployment.generation);
  deployment.enter(
    `step-${step + 1}`,
    `Step ${step + 1} of ${steps.length}: watches ${percent} of callers on release ${rollout.release.version}`,
  );
}

/** There is nobody to compare a first release with: it serves at once, or is open in no gateway until an operator decides. */
async function bootstrap(deployment: Deployment, progress: RolloutProgress): Promise<RolloutEnd> {
  const { rollout, assignment } = progress;
  if (rollout.spec.bootstrap === 'shadow') {
    progress.compensations.push({ what: 'end the shadow', undo: (why) => endShadow(deployment, progress, why) });
    await deployment.commit({
      intent: `${rollout.id}/shadow`,
      summary: `release ${rollout.release.version} waits in shadow for promoteNow`,
      reason: `first release, bootstrap shadow, ${rollout.id}`,
      actor: CONTROL,
      arms: [],
      // A route without a champion serves nobody.
      state: 'retired',
      shadows: [{ name: 'bootstrap', release: rollout.release, sample: 1 }],
      rollout: { id: rollout.id, step: 0 },
      assignment,
    });
    await waitForOperator(
      deployment,
      progress,
      `release ${rollout.release.version} waits in shadow and serves nobody; promote or abort it`,
    );
  }
  await promote(deployment, progress);
  return { outcome: 'promoted', detail: 'first release of the model', actor: CONTROL };
}

/**
 * A commit that fails here halts instead of rolling back: at this point the challenger has passed everything and may be serving
 * all callers, so that an operator must look before anything is moved again.
 */
async function promote(deployment: Deployment, progress: RolloutProgress): Promise<void> {
  const { rollout, assignment } = progress;
  progress.promote = false;
  for (;;) {
    try {
      await deployment.commit({
        intent: `${rollout.id}/promote`,
        summary: `release ${rollout.release.version} is the champion`,
        reason: `${rollout.id} promotes release ${rollout.release.version}`,
        actor: CONTROL,
        arms: serveOnly(rollout.release),
        state: 'serving',
        evidence: progress.evidence,
        assignment,
      });
      break;
    } catch (error) {
      rethrowDefects(error);
      if (isCancellation(error) || failedWith(error, 'STORE_CONFLICT')) throw error;
      const { code, detail } = reportFailure(error);
      await waitForOperator(
        deployment,
        progress,
        `the promotion could not be committed (${code}: ${detail}); promoteNow tries again`,
      );
    }
  }
  deployment.previousChampion = deployment.champion;
  deployment.champion = rollout.release;
  progress.challengerWeight = 1;
}

async function waitForOperator(deployment: Deployment, progress: RolloutProgress, why: string): Promise<void> {
  progress.waitsFor = why;
  deployment.enter('waiting-for-operator', `Waits for an operator: ${why}`);
  await condition(() => progress.promote);
  progress.promote = false;
  progress.waitsFor = null;
}

async function endLost(deployment: Deployment): Promise<RolloutEnd> {
  await deployment.recover();
  return against('aborted', `another writer committed generation ${deployment.generation}`);
}

/** Does not return before everything is undone: what a failed commit left serving must not be taken for a rollout that ended. */
async function takeBack(deployment: Deployment, progress: RolloutProgress, why: RolloutEnd): Promise<void> {
  for (const { what, undo } of progress.compensations.reverse()) {
    for (let done = false; !done;) {
      progress.takeBackAgain = false;
      try {
        await undo({ reason: `${why.outcome}: ${why.detail}`, actor: why.actor });
        done = true;
      } catch (error) {
        rethrowDefects(error);
        const { code, detail } = reportFailure(error);
        deployment.halted = `could not ${what} (${code}: ${detail}); a rollback tries again`;
        deployment.enter('halted', deployment.halted);
        await condition(() => progress.takeBackAgain);
      }
    }
  }
  deployment.halted = null;
}

async function restoreChampion(deployment: Deployment, progress: RolloutProgress, why: RolloutUndo): Promise<void> {
  const { rollout, generations, evidence } = progress;
  await deployment.commitOver(() => {
    const { champion, generation, unfinished } = deployment;
    // Nothing was committed, or another writer took the challenger out already.
    if (champion === null || !(generations.includes(generation) || unfinished?.id === rollout.id)) return null;
    return {
      intent: `${rollout.id}/champion-only`,
      summary: `release ${champion.version} serves alone`,
      ...why,
      arms: serveOnly(champion),
      evidence,
    };
  });
  progress.challengerWeight = 0;
}

async function endShadow(deployment: Deployment, progress: RolloutProgress, why: RolloutUndo): Promise<void> {
  const intent = `${progress.rollout.id}/no-shadow`;
  await deployment.commitOver(() =>
    deployment.champion === null && deployment.generation > 0
      ? { intent, summary: 'the shadow is taken out', ...why, arms: [], state: 'retired' }
      : null,
  );
}

async function conclude(deployment: Deployment, progress: RolloutProgress, ended: RolloutEnd): Promise<void> {
  const { id, release } = progress.rollout;
  const { outcome, detail, actor } = ended;
  upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.verdict, outcome)]);
  deployment.tellEnd(`Release ${release.version}: rollout ended, ${outcome}. ${detail}`);
  const { verdicts, evidence } = progress;
  await record(deployment, { rollout: id, release, event: 'ended', outcome, detail, actor, verdicts, evidence });
  await tellEnd(deployment, progress.handOver, { outcome, detail });
}

type RolloutEvent = Omit<Parameters<Deployment['record']['recordRollout']>[1], 'model' | 'verdicts' | 'evidence'> &
  Partial<Pick<Parameters<Deployment['record']['recordRollout']>[1], 'verdicts' | 'evidence'>>;

/** An end that cannot be recorded is shown as a halt and does not stop the deployment: the route's own audit entry says what was done. */
async function record(deployment: Deployment, event: RolloutEvent): Promise<void> {
  const summary = `Record: rollout of release ${event.release.version} ${event.event}${event.outcome ? `, ${event.outcome}` : ''}`;
  try {
    await deployment.record.recordRollout(summary, { model: deployment.model, verdicts: [], evidence: [], ...event });
  } catch (error) {
    rethrowDefects(error);
    if (isCancellation(error) || event.event === 'started') throw error;
    deployment.halted = `the end of ${event.rollout} could not be recorded (${reportFailure(error).detail})`;
    deployment.story.show();
  }
}

function against(outcome: RolloutOutcome, detail: string): RolloutEnd {
  return { outcome, detail: clip(detail, DETAIL_LIMIT), actor: CONTROL };
}

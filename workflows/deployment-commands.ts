import { ApplicationFailure, condition } from '@temporalio/workflow';
import type { CommandAction } from './domain/approval';
import { isDigest } from './domain/digest';
import type { ErrorCode } from './domain/errors';
import type { ReleaseRef } from './domain/release';
import type { RolloutOutcome } from './domain/rollout';
import { serveOnly } from './domain/rollout-steps';
import type { RouteState } from './domain/route';
import type { AdmittedCommand } from './deployment.activities';
import type { Deployment, DeploymentMessage } from './deployment-state';
import { MAX_QUEUED_RELEASES } from './deployment.messages';
import { reportFailure, rethrowDefects } from './failures';
import type { Delivery } from './inbox';
import type { Receipt } from './lifecycle.messages';
import { joinHandOver, notifyRun } from './rollout-notice';
import type { RolloutProgress } from './rollout-progress';

const UNFREEZE_FIRST = 'the model is retired and serves nobody; unfreeze it first';

type Accepted = Extract<AdmittedCommand, { accepted: true }>;
type Refusal = Extract<Receipt, { accepted: false }>;
/** A command that may be carried out: who sent it, under which id. */
interface Command extends Omit<Accepted, 'accepted' | 'audit'> {
  readonly id: string;
}

/** The one loop that decides: admits what arrived together at once, then carries it out in order of arrival. */
export async function serveCommands(deployment: Deployment): Promise<never> {
  const { inbox } = deployment;
  for (;;) {
    await condition(() => inbox.has());
    const batch = inbox.take();
    const admitted = await Promise.all(batch.map((delivery) => admit(deployment, delivery)));
    for (const [index, delivery] of batch.entries()) {
      const receipt = await decide(deployment, delivery, admitted[index]!);
      deployment.remember(delivery.id, receipt.accepted, receipt.accepted ? null : receipt.code);
      inbox.answer(delivery, receipt);
    }
  }
}

async function admit(deployment: Deployment, delivery: Delivery<DeploymentMessage>): Promise<AdmittedCommand> {
  try {
    const { envelope, id } = delivery;
    return await deployment.answer.admitCommand('Check who signed a command, and whether they may', {
      model: deployment.model,
      envelope,
      delivery: id,
    });
  } catch (error) {
    rethrowDefects(error);
    return { accepted: false, ...reportFailure(error) };
  }
}

async function decide(
  deployment: Deployment,
  delivery: Delivery<DeploymentMessage>,
  admitted: AdmittedCommand,
): Promise<Receipt> {
  if (!admitted.accepted) {
    deployment.story.tell(`A command was refused: ${admitted.code}, ${admitted.detail}`);
    return admitted;
  }
  const { action, args, actor } = admitted;
  if (!(await isRecovered(deployment))) return refuse(deployment.halted ?? 'not recovered');
  deployment.acting = true;
  try {
    const receipt = await carryOut(deployment, { id: delivery.id, action, args, actor });
    deployment.story.tell(`${actor} sent ${action}: ${receipt.detail}`);
    return receipt;
  } catch (error) {
    rethrowDefects(error);
    const failure = reportFailure(error);
    deployment.story.tell(`${actor} sent ${action}, which failed: ${failure.detail}`);
    return { accepted: false, ...failure };
  } finally {
    deployment.acting = false;
  }
}

/** Each command has a halted recovery tried again. */
async function isRecovered(deployment: Deployment): Promise<boolean> {
  if (!deployment.recovered) deployment.halted = null;
  await condition(() => deployment.recovered || deployment.halted !== null);
  return deployment.recovered;
}

async function carryOut(deployment: Deployment, command: Command): Promise<Receipt> {
  switch (command.action) {
    case 'release':
      return enqueue(deployment, command);
    case 'rollback':
      return rollBack(deployment, command);
    case 'divert':
      return divert(deployment, command);
    case 'abort':
      return abort(deployment, command);
    case 'pause':
    case 'resume':
    case 'skipStep':
    case 'promoteNow':
      return steer(deployment, command.action);
    case 'freeze':
    case 'retire':
    case 'unfreeze':
      return changeState(deployment, command, command.action);
    case 'run':
    case 'cancelRun':
      return refuse(`${command.action} goes to a run, not to the deployment`);
  }
}

async function enqueue(deployment: Deployment, { id, args, actor }: Command): Promise<Receipt> {
  const release = releaseOf(deployment, args['release']);
  const run = typeof args['run'] === 'string' ? args['run'] : null;
  if (!release) return refuse('args.release must name a release of this model');
  if (deployment.isRetired) return refuse(UNFREEZE_FIRST);
  if (deployment.champion?.digest === release.digest) {
    await notifyRun(deployment, run, { outcome: 'promoted', detail: 'it serves already' });
    return accept(`release ${release.version} serves already`);
  }
  if (await isKnown(deployment, release, run)) return accept(`release ${release.version} is in hand already`);
  if (deployment.queue.length >= MAX_QUEUED_RELEASES) return refuse(`${MAX_QUEUED_RELEASES} releases wait already`);
  deployment.queue.push({ id, release, run, actor });
  const ahead = deployment.queue.length - 1 + (deployment.inHand ? 1 : 0);
  if (deployment.state === 'frozen') return accept(`release ${release.version} waits until unfreeze`);
  return accept(
    ahead === 0 ? `rollout of release ${release.version} begins` : `release ${release.version} waits behind ${ahead}`,
  );
}

/** In a rollout: the champion serves alone again. Otherwise: the champion before this one serves. */
async function rollBack(deployment: Deployment, { args, actor }: Command): Promise<Receipt> {
  if (deployment.isRetired) return refuse(UNFREEZE_FIRST);
  const before = deployment.champion;
  if (deployment.inHand && before) {
    await endRollout(deployment, 'rolled-back', `rollback by ${actor}${because(args)}`, actor);
    // It may have been promoted in the very moment: then the one before it is meant.
    if (deployment.champion?.digest === before.digest)
      return accept(`release ${before.version} serves alone, generation ${deployment.generation}`);
  }
  const target = deployment.previousChampion;
  if (!target) return refuse('no release served before this one');
  return serve(deployment, target, `rollback by ${actor}${because(args)}`, actor);
}

async function divert(deployment: Deployment, { args, actor }: Command): Promise<Receipt> {
  const target = releaseOf(deployment, args['release']);
  if (!target) return refuse('args.release must name a release of this model');
  // A retired model whose release may serve no longer cannot be unfrozen: another release is its way back.
  if (deployment.isRetired && (await whyNotServable(deployment, deployment.champion!)) === null)
    return refuse(UNFREEZE_FIRST);
  const refusal = await whyNotServable(deployment, target);
  if (refusal) return refusal;
  await endRollout(deployment, 'aborted', `diverted by ${actor}${because(args)}`, actor);
  return serve(deployment, target, `divert by ${actor}${because(args)}`, actor);
}

/** Also what a cancelled run sends: then it names its release, and no other is touched. */
async function abort(deployment: Deployment, { args, actor }: Command): Promise<Receipt> {
  const release = releaseOf(deployment, args['release']);
  const queued = deployment.queue.findIndex((waiting) => waiting.release.digest === release?.digest);
  if (release && queued >= 0) {
    const [taken] = deployment.queue.splice(queued, 1);
    await notifyRun(deployment, taken!.run, { outcome: 'aborted', detail: `aborted by ${actor} before it began` });
    return accept(`release ${release.version} no longer waits`);
  }
  const trial = deployment.inHand;
  if (trial && (!release || trial.digest === release.digest)) {
    await endRollout(deployment, 'aborted', `aborted by ${actor}${because(args)}`, actor);
    return accept(`rollout of release ${trial.version} is aborted, generation ${deployment.generation}`);
  }
  // A hand-over that is still under way must not arrive after its own abort.
  if (release) deployment.remember(release.digest, false, 'COMMAND_REFUSED');
  return refuse(release ? `release ${release.version} is not being rolled out` : 'no rollout is in progress');
}

async function steer(
  deployment: Deployment,
  action: Extract<CommandAction, 'pause' | 'resume' | 'skipStep' | 'promoteNow'>,
): Promise<Receipt> {
  // What is being verified may be steered in a moment; but nobody waits behind this, least of all a rollback (invariant I4).
  await condition(() => deployment.preparation === null || deployment.inbox.isContended);
  const { rollout, preparation } = deployment;
  if (preparation) return refuse(`release ${preparation.handOver.release.version} is still being verified; try again`);
  if (!rollout) return refuse('no rollout is in progress');
  const tooLate = action === 'skipStep' ? whyNothingToSkip(rollout) : null;
  if (tooLate !== null) return refuse(tooLate);
  if (action === 'pause' || action === 'resume') rollout.paused = action === 'pause';
  else if (action === 'skipStep') rollout.skip = true;
  else rollout.promote = true;
  deployment.story.show();
  return accept(
    `${action}: rollout of release ${rollout.rollout.release.version}, step ${rollout.step + 1} of ${rollout.steps.length}`,
  );
}

/** A step that is over is not skipped, and the one after it was not meant. */
function whyNothingToSkip({ step, steps, decidedStep, waitsFor }: RolloutProgress): string | null {
  if (waitsFor !== null) return `no step is watched, the rollout waits for an operator: ${waitsFor}`;
  return decidedStep === step ? `step ${step + 1} of ${steps.length} is over already; nothing was skipped` : null;
}

const stateAfter = { freeze: 'frozen', unfreeze: 'serving', retire: 'retired' } as const satisfies Record<
  string,
  RouteState
>;

/** Ends a rollout in progress: what is frozen or retired does not change any more. */
async function changeState(
  deployment: Deployment,
  { args, actor }: Command,
  action: keyof typeof stateAfter,
): Promise<Receipt> {
  const state = stateAfter[action];
  if (!deployment.champion) return refuse('nothing serves yet');
  if (deployment.state === state) return accept(`the model is ${state} already`);
  if (deployment.isRetired) {
    if (action === 'freeze') return refuse(UNFREEZE_FIRST);
    const refusal = await whyNotServable(deployment, deployment.champion);
    if (refusal) return { ...refusal, detail: `${refusal.detail}; divert to a release that may serve` };
  }
  await endRollout(deployment, 'aborted', `${action} by ${actor}${because(args)}`, actor);
  const reason = `${action} by ${actor}${because(args)}`;
  await deployment.commitOver(() => {
    const { champion } = deployment;
    if (champion === null) return null;
    return {
      intent: `command/${action}`,
      summary: `the model is ${state}`,
      reason,
      actor,
      state,
      arms: serveOnly(champion),
    };
  });
  deployment.halted = null;
  return accept(`the model is ${state}, generation ${deployment.generation}`);
}

/** Cancels whatever the rollout, or its preparation, waits for, and returns when the champion serves alone. Throws when that could not be committed. */
async function endRollout(
  deployment: Deployment,
  outcome: RolloutOutcome,
  reason: string,
  actor: string,
): Promise<void> {
  if (!deployment.inHand) return;
  deployment.halted = null;
  (deployment.preparation ?? deployment.rollout)!.end({ outcome, reason, actor });
  await condition(() => deployment.inHand === null || deployment.halted !== null);
  if (deployment.halted !== null) throw ApplicationFailure.nonRetryable(deployment.halted, 'COMMAND_REFUSED');
}

/** A release that served before serves alone, after the check that it still may (invariant I2). */
async function serve(deployment: Deployment, target: ReleaseRef, reason: string, actor: string): Promise<Receipt> {
  const refusal = await whyNotServable(deployment, target);
  if (refusal) return refusal;
  await deployment.commitOver(() => ({
    intent: `serve/${target.version}`,
    summary: `release ${target.version} serves alone`,
    ...{ reason, actor },
    arms: serveOnly(target),
    state: deployment.state === 'frozen' ? 'frozen' : 'serving',
  }));
  await deployment.recover();
  deployment.halted = null;
  return accept(`release ${target.version} serves alone, generation ${deployment.generation}`);
}

/** The refusal of a release that may not serve (invariant I2). */
async function whyNotServable(deployment: Deployment, release: ReleaseRef): Promise<Refusal | null> {
  const servable = await deployment.answer.verifyServable(`Verify release ${release.version} before it serves`, {
    release,
  });
  return servable.ok ? null : { accepted: false, code: servable.code, detail: servable.detail };
}

/** Whether the release is in hand or waits; a run that hands it over after an operator did is told of its end too. */
async function isKnown(deployment: Deployment, release: ReleaseRef, run: string | null): Promise<boolean> {
  const { handOver, queue } = deployment;
  if (handOver?.release.digest === release.digest) {
    await joinHandOver(deployment, handOver, run);
    return true;
  }
  const at = queue.findIndex((waiting) => waiting.release.digest === release.digest);
  if (at < 0) return false;
  queue[at] = { ...queue[at]!, run: queue[at]!.run ?? run };
  return true;
}

/** Shape only: whether there is such a release is for an activity to find out. */
function releaseOf(deployment: Deployment, value: unknown): ReleaseRef | null {
  if (typeof value !== 'object' || value === null) return null;
  const { model, version, digest } = value as Record<string, unknown>;
  const sound =
    model === deployment.model &&
    typeof version === 'number' &&
    Number.isSafeInteger(version) &&
    version > 0 &&
    isDigest(digest);
  return sound ? { model, version, digest } : null;
}

function because(args: Readonly<Record<string, unknown>>): string {
  const { reason } = args;
  return typeof reason === 'string' && reason !== '' ? `: ${reason.slice(0, 200)}` : '';
}

function accept(detail: string): Receipt {
  return { accepted: true, detail };
}

function refuse(detail: string, code: ErrorCode = 'COMMAND_REFUSED'): Refusal {
  return { accepted: false, code, detail };
}

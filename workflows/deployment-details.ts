import { sayDuration } from './domain/instants';
import type { ReleaseRef } from './domain/release';
import type { DeploymentStatus } from './deployment.messages';

/** Markdown for the Temporal UI: what serves, what is on trial, why it waits, and what one can do. */
export function describeDeployment(status: DeploymentStatus): string {
  const { champion, generation, state, previousChampion } = status;
  const serves = champion ? `Release ${champion.version} serves ${status.model}` : `Nothing serves ${status.model} yet`;
  const before =
    previousChampion && previousChampion.version !== champion?.version
      ? `, champion before it: release ${previousChampion.version}`
      : '';
  const retired = `${status.model} is retired`;
  const head = `## ${champion && state === 'retired' ? retired : serves}\n\nGeneration ${generation}, ${state}${before}.`;
  return [head, ...describeHalt(status), describeWork(status), ...describeQueue(status.queued)].join('\n\n');
}

function describeHalt(status: DeploymentStatus): string[] {
  return status.halted === null ? [] : [`**Halted, needs a person:** ${status.halted}`];
}

function describeWork(status: DeploymentStatus): string {
  const { model, rollout } = status;
  if (rollout === null) return describeIdle(status);
  const share = Math.round((rollout.weights.challenger ?? 0) * 100);
  const at = `### Release ${rollout.release.version} is on trial\n\n\`${rollout.id}\`, step ${rollout.step + 1} of ${rollout.steps}: **${share} % of callers**${describeLength(rollout)}${rollout.paused ? ', **paused**' : ''}.`;
  const run = rollout.run === null ? [] : [`Handed over by run \`lifecycle/${model}/${rollout.run}\`.`];
  const waits = rollout.waitsFor === null ? [] : [`**Waits for an operator:** ${rollout.waitsFor}`];
  const verdicts = rollout.verdicts.map(
    ({ check, outcome, detail, resolves }) =>
      `- **${outcome}** · ${check}: ${detail}${outcome === 'inconclusive' && resolves ? `. Needs ${resolves}` : ''}`,
  );
  const seen =
    verdicts.length > 0
      ? [verdicts.join('\n')]
      : ['Nothing is decided yet. Errors and disagreement are judged each second, quality once labels have matured.'];
  return [at, ...run, ...waits, ...seen, `Take it back: \`slipway rollback ${model}\``].join('\n\n');
}

function describeLength({ stepMs, clock }: NonNullable<DeploymentStatus['rollout']>): string {
  return stepMs > 0 ? ` for ${sayDuration(stepMs)}${clock === 'event' ? ' of event time' : ''}` : '';
}

function describeIdle(status: DeploymentStatus): string {
  if (status.state === 'retired' && status.champion)
    return `Retired: serves nobody and takes no release until \`slipway deployment unfreeze ${status.model}\`.`;
  if (status.state === 'frozen')
    return `Frozen by an operator: releases wait until \`slipway deployment unfreeze ${status.model}\`; a rollback is possible.`;
  return [
    'No rollout. Waits for the next release, which a run hands over, or for a command of an operator.',
    [
      `- back to the release before: \`slipway rollback ${status.model}\``,
      `- what served when, and why: \`slipway history ${status.model}\``,
    ].join('\n'),
  ].join('\n\n');
}

function describeQueue(queued: readonly ReleaseRef[]): string[] {
  return queued.length === 0
    ? []
    : [`Next in line: ${queued.map((release) => `release ${release.version}`).join(', ')}.`];
}

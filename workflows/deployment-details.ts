import type { ReleaseRef } from './domain/release';
import type { DeploymentStatus } from './deployment.messages';

/** Markdown for the Temporal UI: what serves, what is on trial, why it waits, and what one can do. */
export function describeDeployment(status: DeploymentStatus): string {
  const serves = status.champion ? `Release **${status.champion.version}** serves` : 'Nothing serves yet';
  const head = `## ${status.model}\n${serves} (generation ${status.generation}, ${status.state}).`;
  return [head, ...describeHalt(status), describeWork(status), ...describeQueue(status.queued)].join('\n\n');
}

function describeHalt(status: DeploymentStatus): string[] {
  return status.halted === null ? [] : [`**Halted, needs a person:** ${status.halted}`];
}

function describeWork(status: DeploymentStatus): string {
  const { model, rollout } = status;
  if (rollout === null) return describeIdle(status);
  const share = Math.round((rollout.weights.challenger ?? 0) * 100);
  const at = `Rollout \`${rollout.id}\` of release **${rollout.release.version}**: step ${rollout.step + 1} of ${rollout.steps}, ${share} % of callers${rollout.paused ? ', **paused**' : ''}.`;
  const waits = rollout.waitsFor === null ? [] : [`**Waits for an operator:** ${rollout.waitsFor}`];
  const rows = rollout.verdicts.map((verdict) => `| ${verdict.check} | ${verdict.outcome} | ${verdict.detail} |`);
  const table = rows.length === 0 ? [] : [['| check | verdict | |', '|---|---|---|', ...rows].join('\n')];
  return [at, ...waits, ...table, `Take it back: \`slipway rollback ${model}\`.`].join('\n\n');
}

function describeIdle(status: DeploymentStatus): string {
  if (status.state === 'retired') return 'Retired: serves nobody and takes no release.';
  if (status.state === 'frozen')
    return 'Frozen by an operator: releases wait until `unfreeze`; a rollback is possible.';
  return `Waits for the next release, which a run hands over, or for a command such as \`slipway rollback ${status.model}\`.`;
}

function describeQueue(queued: readonly ReleaseRef[]): string[] {
  return queued.length === 0
    ? []
    : [`Next in line: ${queued.map((release) => `release ${release.version}`).join(', ')}.`];
}

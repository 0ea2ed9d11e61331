import { condition, isCancellation } from '@temporalio/workflow';
import { serveOnly } from './domain/rollout-steps';
import type { RecoveredDeployment } from './deployment.activities';
import type { Deployment } from './deployment-state';
import { reportFailure, rethrowDefects } from './failures';
import { notifyRun } from './rollout-notice';

/**
 * The first step of each run: what is so is read from the store. Where the store says nothing that can be believed, the deployment
 * waits for a person instead of failing: every command tries again, and is refused with the reason while it is so.
 */
export async function recover(deployment: Deployment): Promise<void> {
  while (!deployment.recovered) {
    try {
      await takeBackUnfinished(deployment, await deployment.recover());
      deployment.recovered = true;
    } catch (error) {
      rethrowDefects(error);
      if (isCancellation(error)) throw error;
      const { code, detail } = reportFailure(error);
      deployment.halted = `what serves could not be recovered from the store (${code}: ${detail}); the next command tries again`;
      deployment.enter('halted', deployment.halted);
      await condition(() => deployment.halted === null);
    }
  }
  const { generation, champion } = deployment;
  deployment.enter(
    'idle',
    `Recovered from the store: generation ${generation}, champion ${champion?.version ?? 'none'}`,
  );
}

/** A rollout whose workflow was lost is taken back: nobody knows what it had seen. */
async function takeBackUnfinished(deployment: Deployment, { unfinished }: RecoveredDeployment): Promise<void> {
  if (unfinished === null) return;
  const { id, release, run = null } = unfinished;
  const detail = 'its workflow was lost; the champion serves alone';
  await deployment.commitOver(() => {
    const { champion, state } = deployment;
    if (deployment.unfinished === null) return null;
    return {
      intent: `${id}/recovered`,
      summary: `takes back ${id}, whose workflow was lost`,
      reason: `${id} was found unfinished`,
      actor: 'process:control',
      arms: champion ? serveOnly(champion) : [],
      state: champion ? state : 'retired',
    };
  });
  await deployment.record.recordRollout('Record: rollout ended (rolled-back)', {
    model: deployment.model,
    rollout: id,
    release,
    event: 'ended',
    outcome: 'rolled-back',
    ...{ detail, verdicts: [], evidence: [] },
  });
  await notifyRun(deployment, run, { outcome: 'rolled-back', detail });
}

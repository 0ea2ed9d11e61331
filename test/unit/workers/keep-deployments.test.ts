import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../../../infra/telemetry/log';
import { parseConfig } from '../../../infra/config/config';
import { keepDeployments, type KeeperPorts } from '../../../workers/keep-deployments';

const quiet = createLogger(parseConfig({ SLIPWAY_LOG_LEVEL: 'silent' }), 'test');

/** Models with a rollout in their newest route, without one, without a route, and one that cannot be read. */
function ports(started: string[]): KeeperPorts {
  const newest = async (model: string): Promise<unknown> => {
    if (model === 'a/broken') throw new Error('unreadable');
    if (model === 'a/none') return null;
    return { route: { rollout: model === 'a/trial' ? { id: 'rollout-2-2', step: 0 } : null } };
  };
  const start = async (_: string, options: { workflowId: string; workflowIdConflictPolicy: string }): Promise<void> =>
    void started.push(`${options.workflowId} ${options.workflowIdConflictPolicy}`);
  return {
    reader: { models: async () => ['a/broken', 'a/none', 'a/calm', 'a/trial'], newest },
    client: { workflow: { start } },
    logger: quiet,
    timeoutDivisor: 1,
  } as unknown as KeeperPorts;
}

describe('the keeper of deployments', () => {
  it('starts the workflow of an unfinished rollout, and no other, whatever else cannot be read', async () => {
    const started: string[] = [];
    const keeper = keepDeployments(ports(started), 60_000);
    await sleep(20);
    keeper.stop();
    expect(started).toEqual(['deployment/a/trial USE_EXISTING']);
  });

  it('looks again until it is stopped', async () => {
    const started: string[] = [];
    const keeper = keepDeployments(ports(started), 20);
    await sleep(150);
    keeper.stop();
    const looks = started.length;
    expect(looks).toBeGreaterThan(1);
    await sleep(60);
    expect(started).toHaveLength(looks);
  });
});

import type { Client } from '@temporalio/client';
import type { RouteReader } from '../infra/routes/port';
import type { Logger } from '../infra/telemetry/log';
import { deploymentStart } from '../infra/temporal/start-options';
import { DEPLOYMENT, type DeploymentInput } from '../workflows/deployment.messages';
import type { ModelName } from '../workflows/domain/names';

export interface KeeperPorts {
  readonly reader: Pick<RouteReader, 'models' | 'newest'>;
  readonly client: Pick<Client, 'workflow'>;
  readonly logger: Logger;
  /** Goes into the input of a workflow that is started. */
  readonly timeoutDivisor: number;
}

const LOOK_EVERY_MS = 30_000;

/**
 * Sees to it that every unfinished rollout has its workflow. Where Temporal lost it (a restored or deleted database), the challenger
 * would go on serving with nobody watching, until somebody happens to send a command; a deployment that starts takes it back.
 * Looks at once and then every half minute, and costs one call per rollout in progress: one that runs stays as it is.
 */
export function keepDeployments(ports: KeeperPorts, everyMs = LOOK_EVERY_MS): { stop(): void } {
  let looking = false;
  const look = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    const models = await ports.reader.models().catch((error: unknown) => complain(ports, null, error) ?? []);
    for (const model of models) await keep(ports, model).catch((error: unknown) => complain(ports, model, error));
    looking = false;
  };
  const timer = setInterval(() => void look(), everyMs);
  void look();
  return { stop: () => clearInterval(timer) };
}

async function keep(ports: KeeperPorts, model: ModelName): Promise<void> {
  const newest = await ports.reader.newest(model);
  if (!newest?.route.rollout) return;
  const input: DeploymentInput = { model, queue: [], seen: [], timeoutDivisor: ports.timeoutDivisor };
  await ports.client.workflow.start(DEPLOYMENT, { ...deploymentStart(model), args: [input] });
}

function complain({ logger }: KeeperPorts, model: ModelName | null, error: unknown): undefined {
  logger.warn({ model, err: error }, 'could not see to it that unfinished rollouts have their workflow; tries again');
}

import { connectTemporal } from '../../infra/temporal/connection';
import type { SlipwayConfig } from '../../infra/config/config';

const ANSWER_TIMEOUT_MS = 1000;
/** `temporal.api.enums.v1.TaskQueueType`. */
const QUEUE_TYPE = { workflow: 1, activity: 2 } as const;

export async function serverAnswers(settings: SlipwayConfig['temporal']): Promise<boolean> {
  return withConnection(settings, async (temporal) => {
    await temporal.connection.workflowService.describeNamespace({ namespace: settings.namespace });
    return true;
  });
}

/** Whether the process polls the queue now. Asking Temporal, not the process, says that work would be done. */
export async function pollsQueue(
  settings: SlipwayConfig['temporal'],
  queue: string,
  kind: keyof typeof QUEUE_TYPE,
  pid: number,
): Promise<boolean> {
  return withConnection(settings, async (temporal) => {
    const description = await temporal.connection.workflowService.describeTaskQueue({
      namespace: settings.namespace,
      taskQueue: { name: queue },
      taskQueueType: QUEUE_TYPE[kind],
    });
    // The SDK's identity is <pid>@<host>.
    return (description.pollers ?? []).some((poller) => poller.identity?.startsWith(`${pid}@`) === true);
  });
}

export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function withConnection(
  settings: SlipwayConfig['temporal'],
  ask: (temporal: Awaited<ReturnType<typeof connectTemporal>>) => Promise<boolean>,
): Promise<boolean> {
  try {
    const temporal = await connectTemporal(settings);
    try {
      return await ask(temporal);
    } finally {
      await temporal.close();
    }
  } catch {
    return false;
  }
}

import {
  ScheduleAlreadyRunning,
  ScheduleOverlapPolicy,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import { monitorStart } from '../infra/temporal/start-options';
import { type ModelName, workflowIds } from '../workflows/domain/names';
import { MONITOR, type MonitorInput, type MonitorResult } from '../workflows/monitor.messages';
import type { ClientPorts } from './client-ports';

/** After an outage only looks that were missed in the last minutes are made up for; the default is a year of them. */
const CATCHUP_MS = 10 * 60_000;

/** One look now. With `asOf` (RFC 3339) the same instant is looked at once: a second call gets the first one's result. */
export async function triggerMonitor(
  ports: ClientPorts,
  model: ModelName,
  asOf: string | null,
): Promise<MonitorResult> {
  const input: MonitorInput = { model, asOf, timeoutDivisor: ports.config.timeoutDivisor };
  const workflowId = `${workflowIds.monitor(model)}/${asOf ?? new Date().toISOString()}`;
  try {
    await ports.temporal.workflow.start(MONITOR, {
      ...monitorStart(model, asOf),
      workflowId,
      args: [input],
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
  return (await ports.temporal.workflow.getHandle(workflowId).result()) as MonitorResult;
}

/** Looks every `everyMs` of wall time; one at a time. Called again it changes the interval. */
export async function createMonitorSchedule(ports: ClientPorts, model: ModelName, everyMs: number): Promise<void> {
  const scheduleId = workflowIds.monitor(model);
  const spec = { intervals: [{ every: everyMs }] };
  const input: MonitorInput = { model, asOf: null, timeoutDivisor: ports.config.timeoutDivisor };
  try {
    await ports.temporal.schedule.create({
      scheduleId,
      spec,
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: CATCHUP_MS },
      action: {
        type: 'startWorkflow',
        ...monitorStart(model, null),
        workflowType: MONITOR,
        workflowId: scheduleId,
        args: [input],
      },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await ports.temporal.schedule.getHandle(scheduleId).update((schedule) => ({ ...schedule, spec }));
  }
}

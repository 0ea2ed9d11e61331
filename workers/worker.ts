import { DefaultLogger, type LogEntry, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import type { SlipwayConfig } from '../infra/config/config';
import type { Logger } from '../infra/telemetry/log';
import { activityErrors } from '../infra/temporal/activity-errors';
import { connectWorker } from '../infra/temporal/worker-connection';
import type { TaskQueue } from '../workflows/domain/names';

/** What differs between our workers; connection, interceptors and time-outs are the same. */
export type WorkerRole = Pick<
  WorkerOptions,
  'activities' | 'workflowBundle' | 'maxConcurrentActivityTaskExecutions' | 'maxCachedWorkflows'
> & {
  readonly taskQueue: TaskQueue;
};

/** Long activities get so long to save (checkpoints) before they are cancelled. */
const SHUTDOWN_GRACE_MS = 5000;
const SHUTDOWN_FORCE_MS = 15_000;

/** Worker deployment of all versions of the control worker. */
const DEPLOYMENT_NAME = 'slipway';

/** Runs a worker until SIGINT or SIGTERM has drained it. */
export async function runWorker(config: SlipwayConfig, logger: Logger, role: WorkerRole): Promise<void> {
  installRuntime(config, logger);
  const connection = await connectWorker(config.temporal);
  try {
    const worker = await Worker.create({
      ...role,
      connection,
      namespace: config.temporal.namespace,
      ...versioning(config, role),
      interceptors: { activity: [activityErrors(logger)] },
      // A heartbeat that is held back longer than this delays cancellation, and so a rollback, by as much.
      maxHeartbeatThrottleInterval: 1000,
      defaultHeartbeatThrottleInterval: 1000,
      // A crashed control worker costs its successor this long for each workflow it had cached.
      stickyQueueScheduleToStartTimeout: 2000,
      shutdownGraceTime: SHUTDOWN_GRACE_MS,
      shutdownForceTime: SHUTDOWN_FORCE_MS,
    });
    logger.info({ queue: role.taskQueue, pid: process.pid }, 'worker polls');
    await worker.run();
  } finally {
    await connection.close();
  }
}

/** Only workflow code is versioned. A new version gets no task until it is made current: docs/operations.md. */
function versioning(config: SlipwayConfig, role: WorkerRole): Pick<WorkerOptions, 'workerDeploymentOptions'> {
  if (config.buildId === null || role.workflowBundle === undefined) return {};
  const version = { deploymentName: DEPLOYMENT_NAME, buildId: config.buildId };
  return { workerDeploymentOptions: { version, useWorkerVersioning: true, defaultVersioningBehavior: 'PINNED' } };
}

function installRuntime(config: SlipwayConfig, logger: Logger): void {
  const metrics =
    config.metricsAddress === null ? {} : { metrics: { prometheus: { bindAddress: config.metricsAddress } } };
  Runtime.install({
    logger: new DefaultLogger('INFO', (entry) => forward(logger, entry)),
    telemetryOptions: { logging: { filter: { core: 'WARN' }, forward: {} }, ...metrics },
  });
}

function forward(logger: Logger, entry: LogEntry): void {
  // Logged with its code by the activity interceptor.
  if (entry.message === 'Activity failed') return;
  const write = {
    TRACE: logger.debug,
    DEBUG: logger.debug,
    INFO: logger.debug,
    WARN: logger.warn,
    ERROR: logger.error,
  }[entry.level];
  write.call(logger, { sdk: entry.meta ?? {} }, entry.message);
}

import { createAdmissionActivities } from '../activities/admission/admission';
import { createApprovalActivities } from '../activities/approval/approval';
import { createHandoverActivities } from '../activities/handover/create-handover-activities';
import { createLookRecorder } from '../activities/monitoring/create-monitoring-activities';
import { createReleaseActivities } from '../activities/release/release';
import { createRoutingActivities } from '../activities/routing/routing';
import { createCanaryWatch } from '../activities/watching/watch-canary';
import { claimRetrain } from '../infra/monitor/cooldown';
import { workflowBundlePath } from '../infra/temporal/bundle';
import { lazyTemporal } from '../infra/temporal/connection';
import type { DeploymentControlActivities } from '../workflows/deployment.activities';
import { TASK_QUEUES } from '../workflows/domain/names';
import type { LifecycleControlActivities } from '../workflows/lifecycle.activities';
import type { MonitorControlActivities } from '../workflows/monitor.activities';
import { keepDeployments } from './keep-deployments';
import { runProcess } from './process';
import { openControlPorts } from './wiring';
import { runWorker } from './worker';

type ControlActivities = LifecycleControlActivities & DeploymentControlActivities & MonitorControlActivities;

/** Workflows, and the light activities by which they decide. Rollback needs no other worker (I4). */
runProcess('control', async (config, logger) => {
  const ports = await openControlPorts(config, logger);
  const temporal = lazyTemporal(config.temporal);
  const activities: ControlActivities = {
    ...createAdmissionActivities(ports),
    ...createApprovalActivities(ports),
    ...createReleaseActivities(ports),
    ...createRoutingActivities(ports),
    ...createCanaryWatch({ ...ports, releases: ports.registry, now: Date.now }),
    ...createLookRecorder(ports.audit),
    ...createHandoverActivities({
      client: temporal.client,
      signer: ports.signer,
      workspace: config.workspace,
      timeoutDivisor: config.timeoutDivisor,
      releases: ports.registry,
      blobs: ports.blobs,
      claimRetrain: (model, look, at, cooldownMs) =>
        claimRetrain(ports.store, model, look, at.toISOString(), cooldownMs),
    }),
  };
  const keeper = keepDeployments({
    reader: ports.reader,
    client: temporal.client,
    logger,
    timeoutDivisor: config.timeoutDivisor,
  });
  try {
    await runWorker(config, logger, {
      taskQueue: TASK_QUEUES.control,
      workflowBundle: { codePath: await workflowBundlePath() },
      activities,
    });
  } finally {
    keeper.stop();
    await temporal.close();
  }
});

import { createAdmissionActivities } from '../activities/admission/admission';
import { createApprovalActivities } from '../activities/approval/approval';
import { createReleaseActivities } from '../activities/release/release';
import { createRoutingActivities } from '../activities/routing/routing';
import { workflowBundlePath } from '../infra/temporal/bundle';
import { TASK_QUEUES } from '../workflows/domain/names';
import { runProcess } from './process';
import { openControlPorts } from './wiring';
import { runWorker } from './worker';

/** Workflows, and the light activities by which they decide. Rollback needs no other worker (I4). */
runProcess('control', async (config, logger) => {
  const ports = await openControlPorts(config);
  const activities = {
    ...createAdmissionActivities(ports),
    ...createApprovalActivities(ports),
    ...createReleaseActivities(ports),
    ...createRoutingActivities(ports),
  };
  await runWorker(config, logger, {
    taskQueue: TASK_QUEUES.control,
    workflowBundle: { codePath: await workflowBundlePath() },
    activities,
  });
});

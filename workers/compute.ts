import { createIngestActivities } from '../activities/ingest/create-ingest-activities';
import { createTrainingActivities } from '../activities/training/create-training-activities';
import { TASK_QUEUES } from '../workflows/domain/names';
import { runProcess } from './process';
import { openWorkerPorts } from './wiring';
import { runWorker } from './worker';

/** Jobs run in children of their own; more at once than this would only take memory from each other. */
const JOBS_AT_ONCE = 4;

runProcess('compute', async (config, logger) => {
  const ports = await openWorkerPorts(config);
  const activities = {
    ...createIngestActivities(ports),
    ...createTrainingActivities(ports),
  };
  await runWorker(config, logger, { taskQueue: TASK_QUEUES.compute, activities, maxConcurrentActivityTaskExecutions: JOBS_AT_ONCE });
});

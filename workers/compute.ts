import { join } from 'node:path';
import { createEvaluationActivities } from '../activities/evaluation/create-evaluation-activities';
import { createIngestActivities } from '../activities/ingest/create-ingest-activities';
import { createLookActivities } from '../activities/monitoring/create-monitoring-activities';
import { createTrainingActivities } from '../activities/training/create-training-activities';
import { createQualityWatch } from '../activities/watching/watch-quality';
import { createPredictionReader } from '../infra/predictions/reader';
import type { DeploymentComputeActivities } from '../workflows/deployment.activities';
import { TASK_QUEUES } from '../workflows/domain/names';
import type { LifecycleComputeActivities, TrainingActivities } from '../workflows/lifecycle.activities';
import type { MonitorComputeActivities } from '../workflows/monitor.activities';
import { runProcess } from './process';
import { openWorkerPorts } from './wiring';
import { runWorker } from './worker';

type ComputeActivities = LifecycleComputeActivities &
  DeploymentComputeActivities &
  MonitorComputeActivities &
  TrainingActivities;

/** Jobs have children of their own, and each rollout holds a slot while its quality is watched. */
const ACTIVITIES_AT_ONCE = 16;

/** Data, validation, drift, quality; and training where a spec names this queue. */
runProcess('compute', async (config, logger) => {
  const ports = openWorkerPorts(config, logger);
  const predictions = createPredictionReader(ports.store, join(config.home, 'cache', 'predictions'));
  const looking = { ...ports, predictions, releases: ports.registry, routes: ports.reader, now: Date.now };
  const activities: ComputeActivities = {
    ...createIngestActivities(ports),
    ...createTrainingActivities(ports),
    ...createEvaluationActivities(ports),
    ...createQualityWatch(looking),
    ...createLookActivities(looking),
  };
  await runWorker(config, logger, {
    taskQueue: TASK_QUEUES.compute,
    activities,
    maxConcurrentActivityTaskExecutions: ACTIVITIES_AT_ONCE,
  });
});

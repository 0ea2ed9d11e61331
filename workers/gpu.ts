import { createTrainingActivities } from '../activities/training/create-training-activities';
import { TASK_QUEUES } from '../workflows/domain/names';
import { runProcess } from './process';
import { openWorkerPorts } from './wiring';
import { runWorker } from './worker';

/** One training at a time: it has the device to itself. */
runProcess('gpu', async (config, logger) => {
  const training = createTrainingActivities(openWorkerPorts(config, logger));
  await runWorker(config, logger, {
    taskQueue: TASK_QUEUES.gpu,
    activities: { train: (input: Parameters<typeof training.train>[0]) => training.train(input) },
    maxConcurrentActivityTaskExecutions: 1,
  });
});

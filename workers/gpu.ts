import { TASK_QUEUES } from '../workflows/domain/names';
import { runProcess } from './process';
import { runWorker } from './worker';

/** One training at a time: it has the device. */
runProcess('gpu', async (config, logger) =>
  runWorker(config, logger, {
    taskQueue: TASK_QUEUES.gpu,
    activities: {
      async train() {
        throw new Error('x');
      },
    },
    maxConcurrentActivityTaskExecutions: 1,
  }),
);

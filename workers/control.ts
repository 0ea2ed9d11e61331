import { TASK_QUEUES } from '../workflows/domain/names';
import { runProcess } from './process';
import { runWorker } from './worker';

runProcess('control', async (config, logger) =>
  runWorker(config, logger, {
    taskQueue: TASK_QUEUES.control,
    activities: {
      async train() {
        throw new Error('x');
      },
    },
  }),
);

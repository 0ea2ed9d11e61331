import { TASK_QUEUES } from '../workflows/domain/names';
import { runProcess } from './process';
import { runWorker } from './worker';

runProcess('compute', async (config, logger) =>
  runWorker(config, logger, {
    taskQueue: TASK_QUEUES.compute,
    activities: {
      async train() {
        throw new Error('x');
      },
    },
  }),
);

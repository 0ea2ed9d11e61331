import { NativeConnection, Worker } from '@temporalio/worker';
import { workflowBundlePath } from '../../infra/temporal/bundle';
import { TASK_QUEUES } from '../../workflows/domain/names';
import { quietRuntime } from './time-skipping';

/** A process that runs workflow code only, to be killed: `workflow-worker <address> <namespace>`. Its activities run elsewhere. */
async function main([address, namespace]: readonly string[]): Promise<void> {
  quietRuntime();
  const worker = await Worker.create({
    connection: await NativeConnection.connect({ address: address! }),
    namespace: namespace!,
    taskQueue: TASK_QUEUES.control,
    workflowBundle: { codePath: await workflowBundlePath() },
    stickyQueueScheduleToStartTimeout: 1000,
  });
  process.stdout.write('ready\n');
  await worker.run();
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});

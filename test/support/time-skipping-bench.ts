import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { startTimeSkipping } from './time-skipping';
import { type Server, WorkflowBench } from './workflow-bench';

export interface TimeSkippingBench {
  readonly bench: WorkflowBench;
  /** Lets the server's time go on by so many milliseconds. */
  readonly sleep: (ms: number) => Promise<void>;
}

/** For the head of a test file: workers of the real workflow code over fake activities on the time-skipping server, for all of its tests. */
export function timeSkippingBench(): TimeSkippingBench {
  let env: TestWorkflowEnvironment | undefined;
  const server: Server = {
    get client() {
      return env!.client;
    },
    get nativeConnection() {
      return env!.nativeConnection;
    },
    get namespace() {
      return env!.namespace;
    },
  };
  const bench = new WorkflowBench(server);
  beforeAll(async () => {
    env = await startTimeSkipping();
    await bench.startWorkers();
  }, 120_000);
  afterAll(async () => {
    await bench.stopWorkers();
    await env?.teardown();
  }, 60_000);
  return { bench, sleep: (ms) => env!.sleep(ms) };
}

import { startTemporalServer } from '../support/temporal-server';
import { WorkflowBench } from '../support/workflow-bench';
import { writeHistory } from './histories';
import { scenarios } from './scenarios';

/**
 * Records the histories of the scenarios that are named, or of all: `node --require tsx/cjs test/replay/record.ts [name…]`. A history
 * is never recorded again to make a replay pass: a changed workflow gets a new version beside the old one, for as long as runs of
 * the old one may be open.
 */
async function main(wanted: readonly string[]): Promise<void> {
  const server = await startTemporalServer();
  const bench = new WorkflowBench(server);
  try {
    await bench.startWorkers();
    for (const scenario of scenarios) {
      if (wanted.length > 0 && !wanted.includes(scenario.name)) continue;
      const model = `test/${scenario.name.replace('/', '-')}`;
      const { workflowId, runId } = await scenario.run(bench, model);
      writeHistory(scenario.name, workflowId, await server.client.workflow.getHandle(workflowId, runId).fetchHistory());
      process.stdout.write(`${scenario.name}\n`);
    }
  } finally {
    await bench.stopWorkers();
    await server.stop();
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});

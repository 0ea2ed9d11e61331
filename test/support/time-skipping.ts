import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { SEARCH_ATTRIBUTES } from '../../workflows/domain/names';

/** `temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD`. */
const KEYWORD = 2;

/** The time-skipping server, on a port of its own. Time is global in it, so that its tests run one after the other. */
export async function startTimeSkipping(): Promise<TestWorkflowEnvironment> {
  quietRuntime();
  const path = await ensureTool('temporal-test-server');
  const env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path } },
  });
  // It knows how to add them, but not how to list them.
  const searchAttributes = Object.fromEntries(Object.values(SEARCH_ATTRIBUTES).map((name) => [name, KEYWORD]));
  await env.connection.operatorService.addSearchAttributes({ namespace: env.namespace ?? 'default', searchAttributes });
  return env;
}

/** Once per process: the SDK's own lines stay out of the test report, except for errors. */
export function quietRuntime(): void {
  try {
    Runtime.install({
      logger: new DefaultLogger((process.env['SLIPWAY_TEST_LOG'] ?? 'ERROR') as 'ERROR'),
      telemetryOptions: { logging: { filter: { core: 'WARN' }, forward: {} } },
    });
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('already')) throw error;
  }
}

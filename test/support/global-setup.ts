import type { Config } from 'jest';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { TOOLS, type ToolName } from '../../infra/tools/catalogue';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/**
 * Fetches the servers that tests start before the first test, since a first build takes longer than any test may. A tool that
 * cannot be had is said here and fails the tests that need it. Unit tests alone need none. Called by jest, once per run.
 */
export = async function fetchTools(config: Config & { readonly nonFlagArgs?: readonly string[] }): Promise<void> {
  const patterns = config.nonFlagArgs ?? [];
  if (patterns.length > 0 && patterns.every((pattern) => pattern.includes('test/unit'))) return;
  for (const name of Object.keys(TOOLS) as ToolName[]) {
    await ensureTool(name, say).catch((error: Error) => say(error.message));
  }
};

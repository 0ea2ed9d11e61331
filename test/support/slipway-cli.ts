import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { nodeEntry } from '../../infra/process/node-entry';

export interface CliEnded {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

/** The real program, as a user runs it. */
export function slipwayCli(
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
  ...args: string[]
): Promise<CliEnded> {
  const [program, ...rest] = [...nodeEntry(resolve(__dirname, '../../client/cli/slipway.ts')), ...args];
  const startedMs = Date.now();
  return new Promise((settle) => {
    execFile(program!, rest, { cwd, env, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) =>
      settle({ code: error ? Number(error.code) : 0, stdout, stderr, tookMs: Date.now() - startedMs }),
    );
  });
}

import type { Command } from 'commander';
import { parseConfig, type SlipwayConfig } from '../../infra/config/config';
import { withStackEnvironment } from '../../infra/workspace/stack-state';
import type * as Client from '../slipway-client';
import type { SlipwayClient } from '../slipway-client';
import { describeError } from './errors';
import { type Output, processOutput } from './output';

/** What a command's code gets: settings, where to write, and the client, opened when first used and closed after. */
export interface Session {
  readonly config: SlipwayConfig;
  /** Environment the config was read from, with what the workspace's stack was started with. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly output: Output;
  readonly json: boolean;
  /** The result, once: lines for people, or the value with `--json`. */
  result(value: unknown, lines: readonly string[]): void;
  client(): Promise<SlipwayClient>;
  /** Exit code of an outcome that is no error. */
  exitWith(code: number): void;
}

interface GlobalOptions {
  readonly workspace?: string;
  readonly json?: boolean;
}

/** Wraps a command's code: one session, errors as code, cause and next step, exit code from the catalogue. */
export function action<Args extends unknown[]>(
  run: (session: Session, ...args: Args) => Promise<void>,
): (...args: [...Args, Command]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const args = all.slice(0, -1) as unknown as Args;
    const options = command.optsWithGlobals<GlobalOptions>();
    const output = processOutput();
    let client: SlipwayClient | undefined;
    let temporalAddress: string | undefined;
    try {
      const env = environment(options);
      const config = parseConfig(env);
      temporalAddress = config.temporal.address;
      const session: Session = {
        config,
        env,
        output,
        json: options.json === true,
        result: (value, lines) => {
          if (options.json === true) output.line(JSON.stringify(value, null, 2));
          else lines.forEach((line) => output.line(line));
        },
        client: async () => (client ??= await loadClient().createSlipwayClient(config)),
        exitWith: (code) => void (process.exitCode = code),
      };
      await run(session, ...args);
    } catch (error) {
      reportError(error, output, options.json === true, temporalAddress);
    } finally {
      await client?.close();
    }
  };
}

export function reportError(error: unknown, output: Output, json: boolean, temporalAddress?: string): void {
  const shown = describeError(error, temporalAddress);
  if (json) output.line(JSON.stringify({ error: shown }, null, 2));
  else {
    output.note(`${shown.code}: ${shown.message}`);
    output.note(`next: ${shown.advice}`);
  }
  process.exitCode = shown.exit;
}

function environment(options: GlobalOptions): Record<string, string | undefined> {
  const own = options.workspace === undefined ? process.env : { ...process.env, SLIPWAY_WORKSPACE: options.workspace };
  return withStackEnvironment(own);
}

/** With it comes the Temporal client: help, checks of a spec and the like do without. */
function loadClient(): typeof Client {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- loaded when used
  return require('../slipway-client') as typeof Client;
}

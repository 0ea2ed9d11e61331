import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { STACK_PORTS } from './ports';

const processState = z.object({
  pid: z.number().int().nullable(),
  restarts: z.number().int(),
  startedAt: z.string().nullable(),
  log: z.string(),
});

const stackState = z.object({
  schema: z.literal('slipway.stack/1'),
  workspace: z.string(),
  state: z.enum(['starting', 'running', 'stopping', 'stopped']),
  supervisor: z.object({ pid: z.number().int(), startTicks: z.string().nullable() }),
  processes: z.record(z.string(), processState),
  ports: z.record(z.enum(STACK_PORTS), z.number().int()),
  urls: z.object({
    temporalUi: z.string().nullable(),
    gateway: z.string(),
    gatewayGrpc: z.string(),
    metrics: z.string(),
  }),
  /** Settings, without secrets, by which other commands reach this stack. */
  env: z.record(z.string(), z.string()),
});

/** What `slipway up` keeps in `<home>/stack.json`: for other commands, and for its own next start. */
export type StackState = z.infer<typeof stackState>;

export function stackFile(home: string): string {
  return join(home, 'stack.json');
}

/** Null where the workspace never was up, or the file cannot be read as one. */
export function readStackState(home: string): StackState | null {
  try {
    return stackState.parse(JSON.parse(readFileSync(stackFile(home), 'utf8')));
  } catch {
    return null;
  }
}

/** Replaces the file in one step: a reader sees the old or the new state. */
export function writeStackState(home: string, state: StackState): void {
  const file = stackFile(home);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.next`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file}.next`, file);
}

/**
 * Environment for a command that uses a stack: what the caller set wins, then what the stack of the workspace was started with.
 */
export function withStackEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  const home = resolve(env['SLIPWAY_STATE'] ?? '.slipway', env['SLIPWAY_WORKSPACE'] ?? 'dev');
  return { ...readStackState(home)?.env, ...env };
}

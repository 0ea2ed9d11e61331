import { pino } from 'pino';
import { SlipwayError } from '../../workflows/domain/errors';
import type { SlipwayConfig } from '../config/config';

type Write = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** One JSON object a line. Fields hold ids, codes, digests and numbers: never secrets, never users' data (invariant I10). */
export interface Logger {
  readonly error: Write;
  readonly warn: Write;
  readonly info: Write;
  readonly debug: Write;
  child(fields: Readonly<Record<string, unknown>>): Logger;
}

/**
 * The one logger: pino on standard output (or appending to `file`), `process` and `workspace` in each line, RFC 3339 time.
 * Pass an error as `err`; its catalogue code becomes `err.code`.
 */
export function createLogger(
  config: Pick<SlipwayConfig, 'workspace' | 'logLevel'>,
  process: string,
  file?: string,
): Logger {
  return pino(
    {
      level: config.logLevel,
      base: { process, workspace: config.workspace },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError },
    },
    // Synchronous: a process that is killed has written what it did.
    pino.destination({ dest: file ?? 1, sync: true }),
  );
}

/** For tests and one-off commands. */
export const silentLogger: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silentLogger,
};

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const base = { name: error.name, message: error.message, stack: error.stack };
  return error instanceof SlipwayError ? { ...base, code: error.code, cause: describeCause(error.cause) } : base;
}

function describeCause(cause: unknown): string | undefined {
  return cause instanceof Error ? cause.message : undefined;
}

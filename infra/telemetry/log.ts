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
  if (!(error instanceof SlipwayError)) return describeForeign(error);
  const { name, message, stack, code, cause } = error;
  return { name, message, stack, code, ...(cause === undefined ? {} : { cause: describeForeign(cause) }) };
}

/** An error of somebody else's code, whose text may quote what it stumbled over. Errors of the system quote paths, and stay whole. */
function describeForeign(error: unknown): Readonly<Record<string, unknown>> {
  const { name, message, stack, syscall } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  const text = message ?? String(error);
  const frames = (stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  return {
    name,
    message: error instanceof SlipwayError || syscall !== undefined ? text : withoutQuotes(text),
    ...(frames.length > 0 ? { stack: frames.join('\n') } : {}),
  };
}

/** Quoted text to its last quote, since a value may hold quotes itself; apostrophes inside words are none. */
function withoutQuotes(text: string): string {
  return text.replace(/(?<!\w)(["'`]).*\1(?!\w)/gs, '$1…$1').replace(/\bThe number \S+/g, 'The number …');
}

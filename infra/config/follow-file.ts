import { readFileSync, statSync } from 'node:fs';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Logger } from '../telemetry/log';

export interface FollowFileOptions<T> {
  /** What the file is, for messages: `trust`. */
  readonly what: string;
  /** Throws what is wrong with the text. `before` is what counted until now; null at the first reading. */
  readonly parse: (text: string, before: T | null) => T;
  readonly logger: Logger;
  /** Shortest time between two looks at the file. */
  readonly everyMs?: number;
  /** Monotonic clock; tests move it. */
  readonly nowMs?: () => number;
}

export interface FollowedFile<T> {
  /** The same object as long as the file says the same, so that users see by its identity that it changed. */
  readonly value: T;
  /** Looks at which the file could not be taken; the last good value counted on. */
  readonly failedLooks: number;
}

/**
 * A file that is read again when it changes. It looks when it is asked, once each `everyMs` (1 s) at most: a `stat`, so no timer has
 * to be stopped. A file that is gone or invalid must not stop a process: the last good value counts on, which is logged and
 * counted. Throws CONFIG_INVALID, or what `parse` throws, where the first reading fails.
 */
export function followFile<T>(file: string, options: FollowFileOptions<T>): FollowedFile<T> {
  const { what, parse, logger, everyMs = 1_000, nowMs = () => performance.now() } = options;
  let stamp = stampOf(what, file);
  let text = readText(what, file);
  let value = parse(text, null);
  let lookedAtMs = nowMs();
  let failedLooks = 0;
  let complaint: string | null = null;

  const take = (): void => {
    // Taken before the bytes are read: a write in between shows at the next look.
    const newStamp = stampOf(what, file);
    if (newStamp === stamp) return;
    const newText = readText(what, file);
    if (newText !== text) {
      value = parse(newText, value);
      text = newText;
      logger.info({ file }, `${what} file taken`);
    }
    stamp = newStamp;
  };

  const look = (): void => {
    lookedAtMs = nowMs();
    try {
      take();
      complaint = null;
    } catch (error) {
      failedLooks += 1;
      const message = (error as Error).message;
      if (complaint !== message)
        logger.error({ err: error, file }, `${what} file refused; the last good one counts on`);
      complaint = message;
    }
  };

  return {
    get value() {
      if (nowMs() - lookedAtMs >= everyMs) look();
      return value;
    },
    get failedLooks() {
      return failedLooks;
    },
  };
}

/** Changes whenever the file is written or replaced, by renaming or behind a symlink as Kubernetes does it. */
function stampOf(what: string, file: string): string {
  return reading(what, file, () => {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join('/');
  });
}

function readText(what: string, file: string): string {
  return reading(what, file, () => readFileSync(file, 'utf8'));
}

function reading<T>(what: string, file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new SlipwayError('CONFIG_INVALID', `${what}: ${file} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

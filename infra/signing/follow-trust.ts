import { readFileSync, statSync } from 'node:fs';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Logger } from '../telemetry/log';
import type { Trust } from './port';
import { createTrust, parsePolicy } from './trust';

export interface FollowTrustOptions {
  readonly logger: Logger;
  /** Shortest time between two looks at the file. */
  readonly everyMs?: number;
  /** Monotonic clock; tests move it. */
  readonly nowMs?: () => number;
}

/** `policy` is the same object as long as the file says the same, so that users see by its identity that it changed. */
export interface FollowedTrust extends Trust {
  /** Looks at which the file could not be taken; the last good policy counted on. */
  readonly failedLooks: number;
}

/**
 * Trust that reads its file again when that changes, so that a key listed as compromised stops counting in a process that runs.
 * It looks when it is asked, once each `everyMs` (1 s) at most: a `stat`, so no timer has to be stopped. A file that is gone
 * or invalid must not stop a whole workspace, and must not widen trust either: the last good policy counts on, which
 * is logged and counted. Throws CONFIG_INVALID where the first reading fails.
 */
export function followTrust(
  file: string,
  { logger, everyMs = 1_000, nowMs = () => performance.now() }: FollowTrustOptions,
): FollowedTrust {
  let stamp = stampOf(file);
  let text = readText(file);
  let trust = createTrust(parsePolicy(text, file));
  let lookedAtMs = nowMs();
  let failedLooks = 0;
  let complaint: string | null = null;

  const take = (): void => {
    // Taken before the bytes are read: a write in between shows at the next look.
    const newStamp = stampOf(file);
    if (newStamp !== stamp) takeText(newStamp);
    complaint = null;
  };

  const takeText = (newStamp: string): void => {
    const newText = readText(file);
    if (newText !== text) {
      const next = createTrust(parsePolicy(newText, file));
      checkWorkspace(trust, next);
      trust = next;
      text = newText;
      logger.info({ file, keys: next.policy.keys.length }, 'trust file taken');
    }
    stamp = newStamp;
  };

  const current = (): Trust => {
    if (nowMs() - lookedAtMs < everyMs) return trust;
    lookedAtMs = nowMs();
    try {
      take();
    } catch (error) {
      failedLooks += 1;
      const message = (error as Error).message;
      if (complaint !== message) logger.error({ err: error, file }, 'trust file refused; the last good one counts on');
      complaint = message;
    }
    return trust;
  };

  return {
    get policy() {
      return current().policy;
    },
    get failedLooks() {
      return failedLooks;
    },
    verify: (envelope, requirement) => current().verify(envelope, requirement),
  };
}

/** Changes whenever the file is written or replaced, by renaming or behind a symlink as Kubernetes does it. */
function stampOf(file: string): string {
  return reading(file, () => {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join('/');
  });
}

function readText(file: string): string {
  return reading(file, () => readFileSync(file, 'utf8'));
}

function reading<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new SlipwayError('CONFIG_INVALID', `trust: ${file} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function checkWorkspace(before: Trust, after: Trust): void {
  const [was, is] = [before.policy.workspace, after.policy.workspace];
  if (was === is) return;
  throw new SlipwayError('CONFIG_INVALID', `trust: the file is of workspace ${is} now; this process serves ${was}`);
}

import { SlipwayError } from '../../workflows/domain/errors';
import { followFile } from '../config/follow-file';
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
 * A file that is gone or invalid must not widen trust: the last good policy counts on. Throws CONFIG_INVALID where the first
 * reading fails.
 */
export function followTrust(file: string, options: FollowTrustOptions): FollowedTrust {
  const followed = followFile<Trust>(file, {
    ...options,
    what: 'trust',
    parse: (text, before) => {
      const next = createTrust(parsePolicy(text, file));
      if (before) checkWorkspace(before, next);
      return next;
    },
  });
  return {
    get policy() {
      return followed.value.policy;
    },
    get failedLooks() {
      return followed.failedLooks;
    },
    verify: (envelope, requirement) => followed.value.verify(envelope, requirement),
  };
}

function checkWorkspace(before: Trust, after: Trust): void {
  const [was, is] = [before.policy.workspace, after.policy.workspace];
  if (was === is) return;
  throw new SlipwayError('CONFIG_INVALID', `trust: the file is of workspace ${is} now; this process serves ${was}`);
}

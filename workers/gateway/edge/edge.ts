import { followFile } from '../../../infra/config/follow-file';
import type { Logger } from '../../../infra/telemetry/log';
import { Callers } from './callers';
import type { GatewayFile } from './gateway-file';
import { parseGatewayFile } from './gateway-file';

/** What the operator of this gateway decided, as its file is now. Both are the same objects as long as the file says the same. */
export interface Edge {
  readonly file: GatewayFile;
  readonly callers: Callers;
  /** Looks at which the file could not be taken; the last good one counted on. */
  readonly failedLooks: number;
}

export interface FollowEdgeOptions {
  readonly logger: Logger;
  /** Shortest time between two looks at the file. */
  readonly everyMs?: number;
}

/** Follows the file behind SLIPWAY_GATEWAY_FILE. Throws CONFIG_INVALID where it cannot be taken at the beginning. */
export function followEdge(path: string, options: FollowEdgeOptions): Edge {
  const followed = followFile(path, {
    ...options,
    what: 'gateway',
    parse: (text) => {
      const file = parseGatewayFile(text, path);
      return { file, callers: new Callers(file, Date.now, options.logger) };
    },
  });
  return {
    get file() {
      return followed.value.file;
    },
    get callers() {
      return followed.value.callers;
    },
    get failedLooks() {
      return followed.failedLooks;
    },
  };
}

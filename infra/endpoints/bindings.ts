import { followFile, type FollowedFile } from '../config/follow-file';
import type { Logger } from '../telemetry/log';
import { SlipwayError } from '../../workflows/domain/errors';
import { type BindingEntry, parseBindings } from './bindings-file';

/** Where the calls of one endpoint go now. Its secrets are in no message. */
export interface Binding {
  readonly origin: string;
  readonly maxInFlight: number;
  /** Null where the server wants none. */
  readonly token: string | null;
  /** PEM of the authorities that are believed in place of the system's; null for those. */
  readonly ca: string | null;
}

/** The allow-list of a process: what it names may be asked, and nothing else. */
export interface Bindings {
  /** As the file is now. Throws ENDPOINT_NOT_BOUND, and CONFIG_INVALID where a file that it names cannot be read. */
  find(name: string): Binding;
  names(): readonly string[];
}

export interface FollowBindingsOptions {
  readonly logger: Logger;
  /** Shortest time between two looks at a file. */
  readonly everyMs?: number;
}

const TOKEN = 'bearer token';

/** Follows the file behind SLIPWAY_ENDPOINTS_FILE; without one nothing is bound. Throws CONFIG_INVALID where it cannot be taken at the beginning. */
export function followBindings(path: string | undefined, options: FollowBindingsOptions): Bindings {
  if (path === undefined) return NO_BINDINGS;
  const file = followFile(path, { ...options, what: 'endpoints', parse: (text) => parseBindings(text, path) });
  const secrets = new Map<string, FollowedFile<string>>();
  const read = (secret: string | null, what: string): string | null => {
    if (secret === null) return null;
    const parse = what === TOKEN ? (text: string) => parseToken(text, secret) : (text: string) => text.trim();
    let followed = secrets.get(secret);
    if (!followed) secrets.set(secret, (followed = followFile(secret, { ...options, what, parse })));
    return followed.value;
  };
  return {
    find: (name) => {
      const entry = file.value.get(name);
      if (!entry)
        throw notBound(name, `add \`${name}: { origin: https://host:port }\` under \`endpoints:\` in ${path}`);
      return bindingOf(entry, read);
    },
    names: () => [...file.value.keys()],
  };
}

function bindingOf(
  { origin, maxInFlight, bearerTokenFile, ca }: BindingEntry,
  read: (file: string | null, what: string) => string | null,
): Binding {
  return { origin, maxInFlight, token: read(bearerTokenFile, TOKEN), ca: read(ca, 'authorities') };
}

/** What a header can carry. Throws CONFIG_INVALID, which repeats nothing of it. */
function parseToken(text: string, file: string): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new SlipwayError('CONFIG_INVALID', `${TOKEN}: ${file} is not one line of printable ASCII without spaces`);
}

function notBound(name: string, remedy: string): SlipwayError {
  return new SlipwayError('ENDPOINT_NOT_BOUND', `no origin is bound to the endpoint ${name}: ${remedy}`);
}

/** Deny by default. */
export const NO_BINDINGS: Bindings = {
  find: (name) => {
    const line = `endpoints: { ${name}: { origin: https://host:port } }`;
    throw notBound(name, `set SLIPWAY_ENDPOINTS_FILE to a file with \`${line}\``);
  },
  names: () => [],
};

import { basename, dirname, resolve } from 'node:path';
import { z } from 'zod';
import { SlipwayError } from '../../workflows/domain/errors';
import { problemsOf } from '../spec/problems';
import { expectations } from '../spec/schema';
import { YamlDocument } from '../spec/yaml-document';

/** Where one name leads in this process. Paths are absolute. */
export interface BindingEntry {
  /** Scheme, host and port, as `URL.origin` has them. */
  readonly origin: string;
  readonly bearerTokenFile: string | null;
  readonly ca: string | null;
  /** Calls at the same time. */
  readonly maxInFlight: number;
}

const describe = <S extends z.ZodType>(schema: S, expected: string): S => {
  expectations.add(schema, { expected });
  return schema;
};

const path = describe(z.string().min(1).max(1_000), 'a path');

const schema = z.strictObject({
  endpoints: z.record(
    z.string().regex(/^[a-z][a-z0-9-]{0,47}$/),
    z.strictObject({
      origin: describe(
        z.string().refine(isOrigin),
        'an origin such as https://models.internal:8501: scheme, host and port, without user, path and query',
      ),
      bearerTokenFile: path.optional(),
      ca: path.optional(),
      maxInFlight: describe(z.int().min(1).max(1_024), 'a whole number from 1 to 1024').prefault(16),
    }),
  ),
});

/** The bindings of the text by name. Throws CONFIG_INVALID that lists every problem with its line. */
export function parseBindings(content: string, file: string): ReadonlyMap<string, BindingEntry> {
  const document = YamlDocument.parse(content, basename(file), 'CONFIG_INVALID', 'a section endpoints');
  const parsed = schema.safeParse(document.value);
  if (!parsed.success) {
    document.refuse(parsed.error.issues.flatMap((issue) => problemsOf(issue, schema, withoutSecrets(document.value))));
    throw new SlipwayError('CONFIG_INVALID', `${basename(file)} is no endpoints file`);
  }
  const at = (own: string | undefined): string | null =>
    own === undefined ? null : resolve(dirname(resolve(file)), own);
  return new Map(
    Object.entries(parsed.data.endpoints).map(([name, { origin, bearerTokenFile, ca, maxInFlight }]) => [
      name,
      { origin: new URL(origin).origin, bearerTokenFile: at(bearerTokenFile), ca: at(ca), maxInFlight },
    ]),
  );
}

function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, pathname, search, hash, hostname } = new URL(text);
  const isPlain = username === '' && password === '' && search === '' && hash === '' && !text.includes('?');
  return (protocol === 'http:' || protocol === 'https:') && hostname !== '' && isPlain && pathname === '/';
}

/** Problems quote what they found; a password that somebody wrote into an origin must not get into a log. */
function withoutSecrets(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_, inner: unknown) =>
    typeof inner === 'string' && inner.includes('@') ? 'something with a user in it' : inner,
  ) as unknown;
}

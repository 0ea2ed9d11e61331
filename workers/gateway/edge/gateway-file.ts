import { basename, dirname, resolve } from 'node:path';
import { z } from 'zod';
import { problem, problemsOf, type Problem } from '../../../infra/spec/problems';
import { expectations } from '../../../infra/spec/schema';
import { YamlDocument } from '../../../infra/spec/yaml-document';
import { SlipwayError } from '../../../workflows/domain/errors';

/** A quota of one caller for one model: so many requests a second over time, and so many at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Who may call, and with what. */
export interface CallerEntry {
  readonly name: string;
  /** SHA-256 of the API key, lower-case hex. */
  readonly apiKey: string;
  readonly models: readonly string[];
  readonly rate: Rate | null;
}

/** Whose tokens are taken (RFC 7519), and what of them counts. */
export interface TokenIssuer {
  readonly issuer: string;
  readonly audience: string;
  /** File with the issuer's JSON Web Key Set (RFC 7517). */
  readonly keys: string;
  /** Claim that lists the models, as patterns. */
  readonly models: string;
  readonly rate: Rate | null;
}

/** What an operator decides about one gateway: the file behind SLIPWAY_GATEWAY_FILE. Paths are absolute. */
export interface GatewayFile {
  readonly callers: readonly CallerEntry[];
  readonly tokens: readonly TokenIssuer[];
  readonly tls: {
    readonly certificate: string;
    readonly key: string;
    readonly clientAuthorities: string | null;
  } | null;
  /** What a second of inference on this machine costs; null where nobody said. */
  readonly price: { readonly perSecond: number; readonly currency: string } | null;
}

const describe = <S extends z.ZodType>(schema: S, expected: string): S => {
  expectations.add(schema, { expected });
  return schema;
};

const text = describe(z.string().min(1).max(1_000), 'text');
const positive = describe(z.number().gt(0).max(1e9), 'a number above 0');
const pattern = describe(
  z.string().regex(/^(\*|[a-z][a-z0-9-]{0,47}\/(\*|[a-z][a-z0-9-]{0,47}))$/),
  'a model such as flights/late-arrival, all of a project such as flights/*, or *',
);
const rate = z.strictObject({
  perSecond: positive,
  burst: describe(z.int().min(1).max(1e9), 'a whole number above 0'),
});

const schema = z.strictObject({
  callers: z
    .array(
      z.strictObject({
        name: describe(z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/), '1 to 64 of a-z, 0-9, ., _ and -'),
        apiKey: describe(
          z.string().regex(/^sha256:[0-9a-f]{64}$/),
          'sha256: and the 64 hex digits of the SHA-256 of the key; never the key itself',
        ),
        models: z.array(pattern).min(1).max(1_000),
        rate: rate.optional(),
      }),
    )
    .max(10_000)
    .prefault([]),
  tokens: z
    .array(z.strictObject({ issuer: text, audience: text, keys: text, models: text, rate: rate.optional() }))
    .max(20)
    .prefault([]),
  tls: z.strictObject({ certificate: text, key: text, clientAuthorities: text.optional() }).optional(),
  price: z
    .strictObject({ perSecond: describe(z.number().min(0), 'a number, 0 or more'), currency: text.prefault('USD') })
    .optional(),
});

/** Throws SlipwayError CONFIG_INVALID that lists every problem as `file:line:column path: expected …; found …`. */
export function parseGatewayFile(content: string, file: string): GatewayFile {
  const expected = 'sections such as callers, tokens, tls and price';
  const document = YamlDocument.parse(content, basename(file), 'CONFIG_INVALID', expected);
  const parsed = schema.safeParse(document.value);
  if (!parsed.success) {
    document.refuse(parsed.error.issues.flatMap((issue) => problemsOf(issue, schema, document.value)));
    throw new SlipwayError('CONFIG_INVALID', `${basename(file)} is not a gateway file`);
  }
  const { callers, tokens, tls, price } = parsed.data;
  document.refuse([...repeats(callers, 'name'), ...repeats(callers, 'apiKey')]);
  const at = (path: string): string => resolve(dirname(resolve(file)), path);
  return {
    callers: callers.map((caller) => ({ ...caller, apiKey: caller.apiKey.slice(7), rate: caller.rate ?? null })),
    tokens: tokens.map((issuer) => ({ ...issuer, keys: at(issuer.keys), rate: issuer.rate ?? null })),
    tls: tls
      ? {
          certificate: at(tls.certificate),
          key: at(tls.key),
          clientAuthorities: tls.clientAuthorities === undefined ? null : at(tls.clientAuthorities),
        }
      : null,
    price: price ?? null,
  };
}

function repeats<K extends 'name' | 'apiKey'>(callers: readonly Readonly<Record<K, string>>[], key: K): Problem[] {
  return callers.flatMap((caller, index) =>
    callers.findIndex((other) => other[key] === caller[key]) < index
      ? [problem(['callers', index, key], `expected one of its own; another caller has the same ${key}`)]
      : [],
  );
}

/** Whether a list of patterns covers a model. */
export function covers(patterns: readonly string[], model: string): boolean {
  const project = `${model.slice(0, model.indexOf('/'))}/*`;
  return patterns.some((own) => own === model || own === '*' || own === project);
}

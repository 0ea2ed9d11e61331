import { basename } from 'node:path';
import { z } from 'zod';
import { SlipwayError } from '../../workflows/domain/errors';
import { problem, problemsOf } from '../spec/problems';
import { expectations } from '../spec/schema';
import { DURATION_PATTERN, parseDuration } from '../spec/units';
import { YamlDocument } from '../spec/yaml-document';

const describe = <S extends z.ZodType>(schema: S, expected: string): S => {
  expectations.add(schema, { expected });
  return schema;
};

const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  describe(z.enum(values), `one of ${values.join(', ')}`);
const count = (min: number, max: number): z.ZodNumber =>
  describe(z.int().min(min).max(max), `a whole number from ${min} to ${max}`);
const flag = describe(z.boolean(), 'true or false');
const name = describe(z.string().min(1).max(200), 'a name');
const duration = (minMs: number, maxMs: number, expected: string): z.ZodType<number, string> =>
  describe(
    z
      .string()
      .regex(DURATION_PATTERN)
      .transform((text) => parseDuration(text)!)
      .pipe(z.number().min(minMs).max(maxMs)),
    expected,
  );
const pointer = describe(
  z.string().regex(/^(\/([^~]|~[01])*)*$/),
  "a JSON pointer such as /instances, or '' for the whole body",
);

/** What of an endpoint.yaml is the same in its stored form, whatever the protocol. */
const common = {
  endpoint: describe(
    z.string().regex(/^[a-z][a-z0-9-]{0,47}$/),
    'a name of 1 to 48 of a-z, 0-9 and -, starting with a letter; each process binds it to an origin of its own',
  ),
  declaredImage: describe(z.string().min(1).max(500), 'text, such as an image digest').optional(),
  maxRows: count(1, 4_096).prefault(256),
  idempotent: flag.prefault(false),
  onChange: oneOf(['page', 'stop']).prefault('page'),
};

const check = {
  tolerance: describe(z.number().gt(0).max(1), 'a number above 0 and up to 1, such as 1e-4').prefault(1e-4),
  consecutive: count(1, 100).prefault(3),
};

const v2 = {
  protocol: z.literal('v2'),
  model: name,
  version: describe(z.string().min(1).max(100), "the model's version as text, such as '3'").optional(),
  form: oneOf(['columns', 'matrix']).prefault('columns'),
  input: name.optional(),
  output: name,
  column: count(0, 10_000).optional(),
  binary: flag.prefault(true),
  missing: describe(z.null(), 'null, or no such key').optional(),
};

const json = {
  protocol: z.literal('json'),
  path: describe(z.string().regex(/^\/[!-"$-~]*$/), 'a path such as /v1/models/risk:predict, other signs as %C3%A9'),
  request: z
    .strictObject({
      rows: pointer.prefault('/instances'),
      form: oneOf(['objects', 'lists', 'single']).prefault('objects'),
      rename: z.record(z.string(), name).prefault({}),
      missing: describe(z.union([z.null(), z.literal('omit')]), 'null or omit').optional(),
      timestamp: oneOf(['epochMs', 'iso']).prefault('epochMs'),
    })
    .prefault({}),
  answer: z
    .strictObject({
      scores: pointer.prefault('/predictions'),
      column: describe(z.union([z.int().min(0), z.string().min(1)]), 'a position such as 1, or a key').optional(),
      transform: oneOf(['none', 'sigmoid', 'complement']).prefault('none'),
    })
    .prefault({}),
};

const written = {
  ...common,
  timeout: duration(1, 60_000, 'a duration such as 500ms or 1s, up to 60s').prefault('1s'),
  check: z
    .strictObject({
      every: duration(1_000, 3_600_000, 'a duration such as 30s, from 1s to 1h').prefault('30s'),
      ...check,
    })
    .prefault({}),
};

const stored = {
  schema: z.literal('slipway.endpoint/1'),
  ...common,
  timeoutMs: count(1, 60_000),
  check: z.strictObject({ everyMs: count(100, 3_600_000), ...check }),
};

const writtenSchema = z.discriminatedUnion('protocol', [
  z.strictObject({ ...written, ...v2 }),
  z.strictObject({ ...written, ...json }),
]);

const storedSchema = z.discriminatedUnion('protocol', [
  z.strictObject({ ...stored, ...v2 }),
  z.strictObject({ ...stored, ...json }),
]);

/**
 * How a release asks a model server that exists: what a person wrote in endpoint.yaml, with all defaults. Its canonical JSON is the
 * release's model file, so that gates, approvals and signature are of exactly this.
 */
export type EndpointDescriptor = z.output<typeof storedSchema>;
export type V2Descriptor = Extract<EndpointDescriptor, { protocol: 'v2' }>;
export type JsonDescriptor = Extract<EndpointDescriptor, { protocol: 'json' }>;

/** Throws SPEC_INVALID that lists every problem as `file:line:column path: expected …; found …`. */
export function parseEndpoint(text: string, file: string): EndpointDescriptor {
  const expected = 'endpoint, protocol and what the protocol needs';
  const document = YamlDocument.parse(text, basename(file), 'SPEC_INVALID', expected);
  const parsed = writtenSchema.safeParse(document.value);
  if (!parsed.success) {
    document.refuse(parsed.error.issues.flatMap((issue) => problemsOf(issue, writtenSchema, document.value)));
    throw new SlipwayError('SPEC_INVALID', `${basename(file)} is no endpoint file`);
  }
  const { timeout, check: checked, ...rest } = parsed.data;
  const { every, ...limits } = checked;
  const descriptor = {
    schema: 'slipway.endpoint/1',
    ...rest,
    timeoutMs: timeout,
    check: { everyMs: every, ...limits },
  } as EndpointDescriptor;
  document.refuse(contradictions(descriptor).map(([path, message]) => problem(path, message)));
  return descriptor;
}

/** The bytes of a release. Throws MODEL_UNREADABLE where they are no descriptor: anybody may put a blob. */
export function readEndpoint(bytes: Uint8Array): EndpointDescriptor {
  try {
    const parsed = storedSchema.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    if (parsed.success && contradictions(parsed.data).length === 0) return parsed.data;
  } catch {
    // Not JSON: the same to whoever wanted a descriptor.
  }
  throw new SlipwayError('MODEL_UNREADABLE', 'the release is no endpoint descriptor (slipway.endpoint/1)', {
    advice: 'Import it with `slipway release import --endpoint endpoint.yaml --spec model.yaml`.',
  });
}

type Contradiction = readonly [path: string[], message: string];

/** What each key alone cannot say. */
function contradictions(descriptor: EndpointDescriptor): Contradiction[] {
  if (descriptor.protocol === 'v2') {
    const isNamed = descriptor.input !== undefined;
    if (descriptor.form === 'matrix' && !isNamed)
      return [[['input'], 'expected the name of the matrix; found nothing']];
    if (descriptor.form === 'columns' && isNamed)
      return [[['input'], 'expected no such key: with form columns each feature is an input of its own name']];
    return [];
  }
  const { form, missing } = descriptor.request;
  const found: Contradiction[] = [];
  if (form === 'single' && descriptor.maxRows !== 1)
    found.push([['maxRows'], 'expected 1, since request.form is single: one row in a call']);
  if (form === 'lists' && missing === 'omit')
    found.push([['request', 'missing'], 'expected null or no such key: nothing can be left out of a list']);
  return found;
}

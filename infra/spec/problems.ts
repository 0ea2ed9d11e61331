import { z } from 'zod';
import { nearest } from './nearest';
import { expectations } from './schema';

export type SpecPath = readonly (string | number)[];

/** One thing that is wrong, before it has a place in a file. `key` is set where the key itself is wrong, not its value. */
export interface Problem {
  readonly path: SpecPath;
  readonly message: string;
  readonly key: boolean;
}

export const problem = (path: SpecPath, message: string): Problem => ({ path, message, key: false });

/** `features[1].range` */
export function formatPath(path: SpecPath): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}

/** A value as short as an error message can show it. */
export function formatFound(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The problems of one zod issue, worded by what the schema expected there and what the document holds. */
export function problemsOf(issue: z.core.$ZodIssue, schema: z.core.$ZodType, document: unknown): Problem[] {
  const path = issue.path.filter((part): part is string | number => typeof part !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    const valid = keysOf(schemaAt(schema, path, document));
    return issue.keys.map((unknown) => ({
      path: [...path, unknown],
      message: unknownKey(unknown, valid, valueAt(document, path)),
      key: true,
    }));
  }
  const found = valueAt(document, path);
  return [problem(path, `expected ${expectedAt(issue, schema, path, document)}; found ${formatFound(found)}`)];
}

function unknownKey(unknown: string, valid: readonly string[], parent: unknown): string {
  const taken = typeof parent === 'object' && parent !== null ? Object.keys(parent) : [];
  const near =
    nearest(
      unknown,
      valid.filter((key) => !taken.includes(key)),
    ) ?? nearest(unknown, valid);
  return `unknown key; ${near === undefined ? `valid here: ${valid.join(', ')}` : `did you mean ${near}?`}`;
}

function expectedAt(issue: z.core.$ZodIssue, root: z.core.$ZodType, path: SpecPath, document: unknown): string {
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined) {
    const options = (issue as { options?: readonly unknown[] }).options ?? [];
    return `one of ${options.map(String).join(', ')}`;
  }
  const schema = schemaAt(root, path, document);
  const worded = schema && wordedExpectation(schema);
  if (worded !== undefined) return worded;
  if (issue.code === 'too_small') return `at least ${Number(issue.minimum)} of them`;
  if (issue.code === 'too_big') return `at most ${Number(issue.maximum)} of them`;
  if (schema && kindOf(schema) === 'array') return 'a list';
  const valid = keysOf(schema);
  return valid.length > 0 ? `a section with ${valid.join(', ')}` : 'another value';
}

function wordedExpectation(schema: z.core.$ZodType): string | undefined {
  for (let at: z.core.$ZodType | undefined = schema; at; at = innerOf(at)) {
    const found = expectations.get(at)?.expected;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The definitions of the few kinds that `humanSpec` is built of; zod's own union of all kinds does not narrow well. */
interface Definition {
  readonly type: string;
  readonly innerType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly element?: z.core.$ZodType;
  readonly items?: readonly z.core.$ZodType[];
  readonly options?: readonly z.core.$ZodType[];
  readonly discriminator?: string;
}

const definitionOf = (schema: z.core.$ZodType): Definition => schema._zod.def;
const kindOf = (schema: z.core.$ZodType): string => definitionOf(unwrap(schema)).type;
const innerOf = (schema: z.core.$ZodType): z.core.$ZodType | undefined =>
  definitionOf(schema).innerType ?? definitionOf(schema).in;

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let at = schema;
  for (let inner = innerOf(at); inner; inner = innerOf(at)) at = inner;
  return at;
}

/** The schema of the value at a path, choosing the option of a union by the document's own discriminator. */
export function schemaAt(root: z.core.$ZodType, path: SpecPath, document: unknown): z.core.$ZodType | undefined {
  let schema: z.core.$ZodType | undefined = root;
  let value = document;
  for (const part of path) {
    if (!schema) return undefined;
    const definition: Definition = definitionOf(chooseOption(unwrap(schema), value));
    schema = typeof part === 'number' ? (definition.items?.[part] ?? definition.element) : definition.shape?.[part];
    value = valueAt(value, [part]);
  }
  return schema && (isDiscriminated(schema) ? chooseOption(unwrap(schema), value) : schema);
}

const isDiscriminated = (schema: z.core.$ZodType): boolean => definitionOf(unwrap(schema)).discriminator !== undefined;

function chooseOption(schema: z.core.$ZodType, value: unknown): z.core.$ZodType {
  const { discriminator, options } = definitionOf(schema);
  if (discriminator === undefined || !options) return schema;
  const chosen = valueAt(value, [discriminator]);
  const matches = (option: z.core.$ZodType): boolean => {
    const field = definitionOf(option).shape?.[discriminator];
    return field !== undefined && z.safeParse(field, chosen).success;
  };
  return options.find(matches) ?? schema;
}

function keysOf(schema: z.core.$ZodType | undefined): string[] {
  return schema ? Object.keys(definitionOf(unwrap(schema)).shape ?? {}) : [];
}

export function valueAt(document: unknown, path: SpecPath): unknown {
  let value = document;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

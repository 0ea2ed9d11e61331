import { basename, dirname, resolve } from 'node:path';
import { LineCounter, parseDocument, type Document } from 'yaml';
import { SlipwayError } from '../../workflows/domain/errors';
import type { ModelSpec } from '../../workflows/domain/spec';
import { checkSpec, type Sections } from './checks';
import { placeOf, type Place } from './place';
import { formatPath, problemsOf, type Problem } from './problems';
import { resolveSpec } from './resolve';
import { humanSpec, type HumanSpec } from './schema';

/** A spec is a page, not a data set; more than this is a mistake or an attack on the parser. */
const MAX_SPEC_BYTES = 262_144;

export interface ParseSpecOptions {
  /** Path of the spec: errors name it, and relative paths in it start at its folder. It is not read. */
  readonly file: string;
}

/**
 * Resolves the text of a model.yaml, with all defaults. Throws SlipwayError SPEC_INVALID that lists every problem as
 * `file:line:column path: expected …; found …`.
 */
export function parseSpec(text: string, options: ParseSpecOptions): ModelSpec {
  const file = basename(options.file);
  if (Buffer.byteLength(text) > MAX_SPEC_BYTES) {
    throw new SlipwayError('SPEC_INVALID', `${file} is larger than ${MAX_SPEC_BYTES} bytes`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  refuse(file, syntaxProblems(document, lines));
  const value = readValue(document, file);
  const { sections, problems } = readSections(value);
  const all = [...problems, ...checkSpec(sections)];
  refuse(
    file,
    all.map((found) => ({ ...placeOf(found, document, lines), path: formatPath(found.path), message: found.message })),
  );
  return resolveSpec(sections as HumanSpec, dirname(resolve(options.file)));
}

interface PlacedProblem extends Place {
  readonly path: string;
  readonly message: string;
}

function refuse(file: string, problems: readonly PlacedProblem[]): void {
  if (problems.length === 0) return;
  const listed = [...problems]
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .map(({ line, column, path, message }) => `${file}:${line}:${column} ${path === '' ? '' : `${path}: `}${message}`);
  const text =
    listed.length === 1 ? listed[0]! : `${listed.length} problems\n${listed.map((entry) => `  ${entry}`).join('\n')}`;
  throw new SlipwayError('SPEC_INVALID', text);
}

function syntaxProblems(document: Document, lines: LineCounter): PlacedProblem[] {
  return document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0]);
    return { line: Math.max(1, line), column: Math.max(1, col), path: '', message: `not valid YAML: ${error.message}` };
  });
}

function readValue(document: Document, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 20 });
    JSON.stringify(value); // An alias may make a value part of itself.
  } catch (error) {
    throw new SlipwayError('SPEC_INVALID', `${file}:1:1 not valid YAML: ${(error as Error).message.split('\n')[0]}`, {
      cause: error,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SlipwayError(
      'SPEC_INVALID',
      `${file}:1:1 expected a section with model, task, data, features and label; found ${value === null ? 'nothing' : 'something else'}`,
    );
  }
  return value as Record<string, unknown>;
}

/** Section by section, so that the semantic checks see every section that is well-formed, whatever is wrong with the others. */
function readSections(value: Record<string, unknown>): { sections: Sections; problems: Problem[] } {
  const whole = humanSpec.safeParse(value);
  if (whole.success) return { sections: whole.data, problems: [] };
  const problems = whole.error.issues.flatMap((issue) => problemsOf(issue, humanSpec, value));
  const sections: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(humanSpec.shape)) {
    const parsed = schema.safeParse(value[key]);
    if (parsed.success) sections[key] = parsed.data;
  }
  return { sections, problems: uniqueProblems(problems) };
}

function uniqueProblems(problems: readonly Problem[]): Problem[] {
  const byText = new Map(problems.map((found) => [`${formatPath(found.path)} ${found.message}`, found]));
  return [...byText.values()];
}

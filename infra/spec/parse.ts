import { basename, dirname, resolve } from 'node:path';
import type { ModelSpec } from '../../workflows/domain/spec';
import { checkSpec, type Sections } from './checks';
import { problemsOf, type Problem } from './problems';
import { resolveSpec } from './resolve';
import { humanSpec, type HumanSpec } from './schema';
import { YamlDocument } from './yaml-document';

export interface ParseSpecOptions {
  /** Path of the spec: errors name it, and relative paths in it start at its folder. It is not read. */
  readonly file: string;
}

/**
 * Resolves the text of a model.yaml, with all defaults. Throws SlipwayError SPEC_INVALID that lists every problem as
 * `file:line:column path: expected …; found …`.
 */
export function parseSpec(text: string, options: ParseSpecOptions): ModelSpec {
  const expected = 'a section with model, task, data, features and label';
  const document = YamlDocument.parse(text, basename(options.file), 'SPEC_INVALID', expected);
  const { sections, problems } = readSections(document.value);
  document.refuse([...problems, ...checkSpec(sections)]);
  return resolveSpec(sections as HumanSpec, dirname(resolve(options.file)));
}

/** Section by section, so that the semantic checks see every section that is well-formed, whatever is wrong with the others. */
function readSections(value: Readonly<Record<string, unknown>>): { sections: Sections; problems: Problem[] } {
  const whole = humanSpec.safeParse(value);
  if (whole.success) return { sections: whole.data, problems: [] };
  const problems = whole.error.issues.flatMap((issue) => problemsOf(issue, humanSpec, value));
  const sections: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(humanSpec.shape)) {
    const parsed = schema.safeParse(value[key]);
    if (parsed.success) sections[key] = parsed.data;
  }
  return { sections, problems };
}

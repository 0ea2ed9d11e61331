import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { explainSpec } from '../../../infra/spec/explain';
import { parseSpec } from '../../../infra/spec/parse';
import { specSchemaJson } from '../../../infra/spec/schema';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { ModelSpec } from '../../../workflows/domain/spec';
import { startOfTodayUtc } from '../../as-of';
import { withExample } from '../examples';
import { parseInstant } from '../instants';
import { action, type Session } from '../session';

export function addSpec(program: Command): void {
  const spec = program.command('spec').description('model.yaml: check it, or print its JSON Schema');
  withExample(
    spec
      .command('check <file>')
      .description('check a spec and explain what it decides')
      .option(
        '--as-of <instant>',
        'explain the data windows as of this instant (default: today, 00:00 UTC, as for a run)',
      )
      .action(action(check)),
    'slipway spec check model.yaml',
  );
  withExample(
    spec.command('schema').description('print the JSON Schema, for editors').action(action(schema)),
    'slipway spec schema > model.schema.json',
  );
}

async function check(session: Session, file: string, options: { asOf?: string }): Promise<void> {
  const spec = await readSpec(file);
  session.result(spec, [explainSpec(spec, parseInstant(options.asOf ?? startOfTodayUtc()))]);
}

async function schema(session: Session): Promise<void> {
  session.output.line(specSchemaJson());
}

/** Throws NOT_FOUND or SPEC_INVALID. */
export async function readSpec(file: string): Promise<ModelSpec> {
  return parseSpec(await readSpecText(file), { file });
}

export async function readSpecText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new SlipwayError(
      'NOT_FOUND',
      missing ? `there is no file ${file}` : `${file} cannot be read: ${(error as Error).message}`,
      {
        cause: error,
        advice: 'Check the path of the spec; `slipway init --model <project/model>` writes a new model.yaml.',
      },
    );
  }
}

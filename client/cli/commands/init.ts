import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { specSchemaJson } from '../../../infra/spec/schema';
import { templateSpec } from '../../../infra/spec/template';
import { SlipwayError } from '../../../workflows/domain/errors';
import { parseModelName } from '../../../workflows/domain/names';
import type { Task } from '../../../workflows/domain/spec';
import { withExample } from '../examples';
import { action, type Session } from '../session';

interface InitOptions {
  readonly model: string;
  readonly task: Task;
  readonly data: string;
}

export function addInit(program: Command): void {
  const command = program
    .command('init [folder]')
    .description('write a commented model.yaml and its JSON Schema')
    .requiredOption('--model <project/model>', 'name of the model')
    .addOption(new Option('--task <task>', 'what is predicted').choices(['binary', 'regression']).default('binary'))
    .option('--data <path>', 'Parquet or CSV, relative to the folder', 'data/*.parquet')
    .action(action(init));
  withExample(command, 'slipway init churn --model retail/churn --data customers.parquet');
}

async function init(session: Session, folder: string | undefined, options: InitOptions): Promise<void> {
  if (!parseModelName(options.model))
    throw new SlipwayError(
      'USAGE',
      `${options.model} is no project/model name (a-z, 0-9 and -, each part starting with a letter)`,
    );
  const target = folder ?? '.';
  await mkdir(target, { recursive: true });
  const file = join(target, 'model.yaml');
  try {
    await writeFile(file, templateSpec({ model: options.model, task: options.task, source: options.data }), {
      flag: 'wx',
    });
  } catch (error) {
    throw new SlipwayError('USAGE', `${file} cannot be written: ${(error as Error).message}`, { cause: error });
  }
  await writeFile(join(target, 'model.schema.json'), specSchemaJson());
  session.result({ file }, [`wrote ${file}`, `next: edit it, then slipway spec check ${file}`]);
}

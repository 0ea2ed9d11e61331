import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type GuessedColumns, guessColumns } from '../../../infra/spec/guess-columns';
import { specSchemaJson } from '../../../infra/spec/schema';
import { templateSpec } from '../../../infra/spec/template';
import { SlipwayError } from '../../../workflows/domain/errors';
import { parseModelName } from '../../../workflows/domain/names';
import type { Task } from '../../../workflows/domain/spec';
import { findColumns } from '../../data-files';
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
    .description('write a commented model.yaml, with the columns of the data where it is there, and its JSON Schema')
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
  const data = resolve(target, options.data);
  const columns = existsSync(data) ? guessColumns(await findColumns(data)) : undefined;
  const file = join(target, 'model.yaml');
  try {
    const found = columns ? { columns } : {};
    await writeFile(file, templateSpec({ model: options.model, task: options.task, source: options.data, ...found }), {
      flag: 'wx',
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new SlipwayError('USAGE', `${file} exists already, and is not written over`, {
        cause: error,
        advice: 'Name another folder (`slipway init <folder> …`), or delete that file first.',
      });
    throw new SlipwayError('USAGE', `${file} cannot be written: ${(error as Error).message}`, { cause: error });
  }
  await writeFile(join(target, 'model.schema.json'), specSchemaJson());
  session.result({ file, columns: columns ?? null }, [
    `wrote ${file}`,
    ...(columns
      ? describeGuess(columns, options.data)
      : [`${data} does not exist yet: the columns in it are examples`]),
    `next: correct it, then slipway spec check ${file}`,
  ]);
}

function describeGuess({ id, eventTime, label, features }: GuessedColumns, data: string): string[] {
  return [
    `from ${data}: a row is named by ${id}, happened at ${eventTime}, and its label is ${label}`,
    `features: ${features.map(({ name, type }) => `${name} (${type})`).join(', ') || 'none'}`,
  ];
}

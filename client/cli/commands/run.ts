import { execFileSync } from 'node:child_process';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { CAUSES, type Cause } from '../../../workflows/domain/names';
import { type RunResult, type Step, STEPS } from '../../../workflows/domain/run';
import { DEFAULT_KEY } from '../../client-ports';
import { withExample } from '../examples';
import { exitOfRun, nextAfter, type STARTED_BY } from '../outcomes';
import { action, type Session } from '../session';
import { followRun } from '../follow-run';
import { readSpecText } from './spec';

export interface RunOptions {
  readonly wait?: boolean;
  readonly asOf?: string;
  readonly cause: Cause;
  readonly commit?: string;
  readonly retry?: boolean;
  readonly from?: Step;
  readonly key: string;
}

export function addRun(program: Command): void {
  const command = addRunOptions(
    program.command('run <spec>').description('start a run of the lifecycle, or join the one with the same identity'),
  )
    .addOption(
      new Option('--from <step>', 'with --retry: take the results of the steps before from the last attempt').choices([
        ...STEPS,
      ]),
    )
    .action(action(run));
  withExample(
    command,
    'slipway run model.yaml --wait',
    'slipway run model.yaml --cause ci --commit $GITHUB_SHA --wait --json',
    'slipway run model.yaml --retry --from train',
  );
}

/** Options that `release import` shares. */
export function addRunOptions(command: Command): Command {
  return command
    .option('--wait', 'wait for the end; the exit code says how it ended')
    .option('--as-of <instant>', 'only data before this instant is known (default: today, 00:00 UTC)')
    .addOption(
      new Option('--cause <cause>', 'why it is started')
        .choices(CAUSES.filter((cause) => cause !== 'drift'))
        .default('manual'),
    )
    .option('--commit <commit>', 'commit of the spec (default: what git says)')
    .option('--retry', 'start the next attempt instead of joining')
    .option('--key <name>', 'private key that signs the command', DEFAULT_KEY);
}

async function run(session: Session, file: string, options: RunOptions): Promise<void> {
  await startAndReport(session, file, options);
}

/** Starts (with a model from elsewhere where `imported` is given), says what to type next, or waits for the end. */
export async function startAndReport(
  session: Session,
  file: string,
  options: RunOptions,
  extra: Partial<Parameters<Awaited<ReturnType<Session['client']>>['startRun']>[0]> = {},
): Promise<void> {
  const client = await session.client();
  const started = await client.startRun({
    specText: await readSpecText(file),
    specFile: file,
    commit: options.commit ?? commitOf(dirname(file)),
    cause: options.cause,
    key: options.key,
    ...(options.asOf === undefined ? {} : { asOf: options.asOf }),
    ...(options.retry === true ? { retry: true } : {}),
    ...(options.from === undefined ? {} : { from: options.from }),
    ...extra,
  });
  const { model, run: id, workflowId, joined, spec } = started;
  if (spec.clock === 'wall') await client.createMonitorSchedule(model, spec.monitor.everyMs);
  const opening = joined
    ? `joined run ${id} of ${model}, which exists (\`--retry\` starts its next attempt)`
    : `started run ${id} of ${model}`;
  if (options.wait !== true) {
    session.result({ model, run: id, workflowId, joined }, [opening, `next: slipway watch ${model} --run ${id}`]);
    return;
  }
  session.output.note(opening);
  const result = await followRun(client, model, id, (line) => session.output.note(line));
  reportRun(session, result, extra.imported ? 'import' : 'run');
}

export function reportRun(session: Session, result: RunResult, startedBy: keyof typeof STARTED_BY): void {
  session.result(result, [`${result.outcome}: ${result.detail}`, `next: ${nextAfter(result, startedBy)}`]);
  session.exitWith(exitOfRun(result));
}

/** What git says of the folder; a spec outside of git is a run that nobody can trace to a commit, and says so. */
function commitOf(folder: string): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const head = git('rev-parse', 'HEAD');
    return git('status', '--porcelain', '--', '.') === '' ? head : `${head}-dirty`;
  } catch {
    return 'uncommitted';
  }
}

import type { Command } from 'commander';
import type { RunResult } from '../../../workflows/domain/run';
import type { SlipwayClient } from '../../slipway-client';
import { describeError } from '../errors';
import { withExample } from '../examples';
import { followRun } from '../follow-run';
import type { Output } from '../output';
import { drawRun } from '../run-picture';
import { action, type Session } from '../session';
import { newestRunOf } from '../newest-run';
import { reportRun } from './run';

const FRAME_MS = 500;
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[0J';

export function addWatch(program: Command): void {
  const command = program
    .command('watch <model>')
    .description('live picture of a run: stages, gates, approvals, canary; plain lines without a terminal')
    .option('--run <run>', 'run (default: the newest)')
    .action(action(watch));
  withExample(command, 'slipway watch flights/late-arrival');
}

async function watch(session: Session, model: string, options: { run?: string }): Promise<void> {
  const client = await session.client();
  const run = options.run ?? (await newestRunOf(client, model));
  const { output } = session;
  const result =
    output.isTerminal && !session.json
      ? await animate(client, model, run, output)
      : await followRun(client, model, run, (line) => (session.json ? output.note(line) : output.line(line)));
  const { request } = (await client.listRuns(model)).find((listed) => listed.request.run === run) ?? {};
  reportRun(session, result, request?.imported ? 'import' : 'run');
}

/** Draws over the last frame until the run ends. */
async function animate(client: SlipwayClient, model: string, run: string, output: Output): Promise<RunResult> {
  let ended = false;
  const result = client.waitForRun(model, run).finally(() => (ended = true));
  let drawn = 0;
  process.stdout.write(HIDE_CURSOR);
  const restore = (): void => void process.stdout.write(SHOW_CURSOR);
  process.once('exit', restore);
  try {
    for (;;) {
      const last = ended;
      const whole = await frame(client, model, run, output.columns);
      // What scrolled away cannot be drawn over.
      const lines = last ? whole : whole.slice(0, Math.max(1, process.stdout.rows - 1));
      process.stdout.write(`${drawn > 0 ? `\u001b[${drawn}A\r` : ''}${CLEAR_BELOW}${lines.join('\n')}\n`);
      drawn = lines.length;
      if (last) return await result;
      await Promise.race([result.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, FRAME_MS))]);
    }
  } finally {
    restore();
    process.removeListener('exit', restore);
  }
}

async function frame(client: SlipwayClient, model: string, run: string, columns: number): Promise<string[]> {
  try {
    const [status, deployment] = await Promise.all([
      client.runStatus(model, run),
      client.deploymentStatus(model).catch(() => null),
    ]);
    return drawRun({ run: status, deployment, nowMs: Date.now() }, columns);
  } catch (error) {
    return [
      `${model}  run ${run}`,
      '',
      `waiting for an answer: ${describeError(error, client.config.temporal.address).message.split('\n')[0]}`,
    ];
  }
}

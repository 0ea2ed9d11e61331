import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { SlipwayError } from '../../../workflows/domain/errors';
import { predict as predictRows } from '../../predict';
import { withExample } from '../examples';
import { formatNumber } from '../output';
import { action, type Session } from '../session';

interface PredictOptions {
  readonly input: string;
  readonly id?: string;
  readonly eventTime?: string;
  readonly key?: string;
  readonly gateway?: string;
  readonly calibrated?: boolean;
}

const row = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
const rowsSchema = z.union([row.transform((one) => [one]), z.array(row).min(1)]);

export function addPredict(program: Command): void {
  const command = program
    .command('predict <model>')
    .description('score rows through the gateway')
    .requiredOption('--input <json>', 'one row or a list of rows by feature name; @file reads a file, - standard input')
    .option('--id <id>', 'request id, by which a label is joined later')
    .option('--event-time <ms>', 'event time, epoch ms, for models whose clock is the event')
    .option('--assignment-key <key>', 'what keeps a caller on one arm')
    .option('--calibrated', 'ask for calibrated probabilities beside the scores')
    .option('--gateway <url>', 'gateway (default: that of the workspace)')
    .action(action(predict));
  withExample(
    command,
    `slipway predict flights/late-arrival --event-time 983404800000 --input '{"distance": 954, "departure_local": 983376000000}'`,
    'slipway predict flights/late-arrival --input @rows.json --json',
  );
}

async function predict(
  session: Session,
  model: string,
  options: PredictOptions & { assignmentKey?: string },
): Promise<void> {
  const { host, port } = session.config.gateway;
  const parameters = {
    ...(options.eventTime === undefined ? {} : { event_time: Number(options.eventTime) }),
    ...(options.calibrated === true ? { calibrated: true } : {}),
    ...(options.assignmentKey === undefined ? {} : { assignment_key: options.assignmentKey }),
  };
  const answer = await predictRows(model, {
    gateway: options.gateway ?? `http://${host}:${port}`,
    rows: await readRows(options.input),
    parameters,
    ...(options.id === undefined ? {} : { id: options.id }),
  });
  session.result(answer, [
    ...answer.scores.map((score, row) => {
      const calibrated = answer.calibrated?.[row];
      return `${formatNumber(score)}${calibrated === undefined ? '' : `  calibrated ${formatNumber(calibrated)}`}`;
    }),
    `release ${answer.version}, arm ${answer.arm}, request ${answer.id}`,
  ]);
}

async function readRows(input: string): Promise<Record<string, string | number | boolean | null>[]> {
  const text =
    input === '-'
      ? await readFile('/dev/stdin', 'utf8')
      : input.startsWith('@')
        ? await readFile(input.slice(1), 'utf8')
        : input;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SlipwayError('USAGE', `--input is not JSON: ${(error as Error).message}`);
  }
  const parsed = rowsSchema.safeParse(value);
  if (!parsed.success)
    throw new SlipwayError('USAGE', '--input must be one row or a list of rows: {"feature": value, …}');
  return parsed.data;
}

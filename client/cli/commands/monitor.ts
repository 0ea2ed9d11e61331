import type { Command } from 'commander';
import { parseDuration } from '../../../infra/spec/units';
import { SlipwayError } from '../../../workflows/domain/errors';
import { withExample } from '../examples';
import { parseInstant } from '../instants';
import { action, type Session } from '../session';

export function addMonitor(program: Command): void {
  const monitor = program.command('monitor').description('looks at data quality, drift and calibration');
  withExample(
    monitor
      .command('look <model>')
      .description('look now; may start a retrain')
      .option('--as-of <instant>', 'end of the window, for recorded traffic')
      .action(action(look)),
    'slipway monitor look flights/late-arrival --as-of 2001-05-06',
  );
  withExample(
    monitor
      .command('schedule <model>')
      .description('look at an interval of wall time')
      .requiredOption('--every <duration>', 'such as 1h or 1d')
      .action(action(schedule)),
    'slipway monitor schedule flights/late-arrival --every 1h',
  );
}

async function look(session: Session, model: string, options: { asOf?: string }): Promise<void> {
  const client = await session.client();
  const result = await client.triggerMonitor(
    model,
    options.asOf === undefined ? null : parseInstant(options.asOf).toISOString(),
  );
  const retrain = result.retrainRun === null ? [] : [`next: slipway watch ${model} --run ${result.retrainRun}`];
  session.result(result, [`${result.decision}: ${result.detail}`, ...retrain]);
}

async function schedule(session: Session, model: string, options: { every: string }): Promise<void> {
  const everyMs = parseDuration(options.every);
  if (everyMs === undefined || everyMs <= 0)
    throw new SlipwayError('USAGE', `${options.every} is no duration; expected such as 30m, 1h, 1d`);
  const client = await session.client();
  await client.createMonitorSchedule(model, everyMs);
  session.result({ model, everyMs }, [`${model} is looked at every ${options.every}`]);
}

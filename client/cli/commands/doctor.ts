import type { Command } from 'commander';
import type { SlipwayConfig } from '../../../infra/config/config';
import { ERRORS } from '../../../workflows/domain/errors';
import { runChecks } from '../doctor-checks';
import { withExample } from '../examples';
import { formatTable } from '../output';
import { action, type Session } from '../session';
import { findTemporal } from '../temporal-program';

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .description('say what is missing or wrong on this machine, and list the settings')
    .action(action(doctor));
  withExample(command, 'slipway doctor', 'slipway doctor --json');
}

async function doctor(session: Session): Promise<void> {
  const externalTemporal = process.env['TEMPORAL_ADDRESS'] !== undefined;
  const checks = await runChecks(session.config, {
    externalTemporal,
    tools: externalTemporal ? {} : { temporal: findTemporal },
  });
  const problems = checks.filter((check) => check.outcome === 'problem');
  const settings = describeSettings(session.config);
  session.result({ checks, settings }, [
    ...formatTable(
      ['CHECK', 'OUTCOME', 'DETAIL'],
      checks.map((check) => [check.name, check.outcome, check.detail]),
    ),
    '',
    ...checks.filter((check) => check.advice !== '').map((check) => `next (${check.name}): ${check.advice}`),
    '',
    ...formatTable(['SETTING', 'VALUE'], Object.entries(settings)),
  ]);
  if (problems.length > 0) session.exitWith(ERRORS.CONFIG_INVALID.exit);
}

/** The config holds no secrets (S3 keys stay in the AWS client's environment): all of it may be shown. */
function describeSettings(config: SlipwayConfig, prefix = ''): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(config)) {
    if (typeof value === 'object' && value !== null)
      Object.assign(flat, describeSettings(value as SlipwayConfig, `${prefix}${name}.`));
    else flat[`${prefix}${name}`] = String(value);
  }
  return flat;
}

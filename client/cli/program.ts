import type { CommanderError } from 'commander';
import { Command } from 'commander';
import { ERRORS } from '../../workflows/domain/errors';
import { addDoctor } from './commands/doctor';
import { addDown } from './commands/down';
import { addKeys } from './commands/keys';
import { addLogs } from './commands/logs';
import { addSpec } from './commands/spec';
import { addUp } from './commands/up';

/** All commands. Usage errors end with the catalogue's exit code for USAGE. */
export function buildProgram(): Command {
  const program = new Command('slipway')
    .description('Durable, signed, audited lifecycle for machine-learning models, on Temporal')
    .option('--workspace <name>', 'workspace to use (default: SLIPWAY_WORKSPACE, else dev)')
    .option('--json', 'print the result as one JSON document')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('next: see `slipway <command> --help`')
    .exitOverride(exitWithUsage)
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 2 usage or spec, 3 data or training, 4 refused, 5 gates or rollout against, 6 unavailable, 7 not found, 70 defect.',
    );
  for (const add of [addUp, addDown, addDoctor, addSpec, addKeys, addLogs]) add(program);
  for (const command of program.commands) inheritExit(command);
  return program;
}

function inheritExit(command: Command): void {
  command.exitOverride(exitWithUsage).configureHelp({ showGlobalOptions: true });
  command.commands.forEach(inheritExit);
}

/** Commander has printed what was wrong. Help and version are no errors. */
function exitWithUsage(error: CommanderError): never {
  process.exit(error.exitCode === 0 ? 0 : ERRORS.USAGE.exit);
}

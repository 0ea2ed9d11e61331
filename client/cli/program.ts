import type { CommanderError } from 'commander';
import { Command } from 'commander';
import { ERRORS } from '../../workflows/domain/errors';
import { addApprove, addReject } from './commands/decide';
import { version } from '../../package.json';
import { addAudit } from './commands/audit';
import { addDeployment, addRollback } from './commands/deployment';
import { addDoctor } from './commands/doctor';
import { addDown } from './commands/down';
import { addEndpoint } from './commands/endpoint';
import { addGateway } from './commands/gateway';
import { addHistory } from './commands/history';
import { addInit } from './commands/init';
import { addKeys } from './commands/keys';
import { addLabels } from './commands/labels';
import { addLogs } from './commands/logs';
import { addMonitor } from './commands/monitor';
import { addPredict } from './commands/predict';
import { addRelease } from './commands/release';
import { addRun } from './commands/run';
import { addSpec } from './commands/spec';
import { addStatus } from './commands/status';
import { addTry } from './commands/try';
import { addUp } from './commands/up';
import { addWatch } from './commands/watch';

/** In the order of help: first day, runs, decisions, what serves, what happened, the rest. */
const COMMANDS = [
  ...[addInit, addUp, addDown, addGateway, addDoctor, addTry],
  ...[addRun, addStatus, addWatch, addApprove, addReject, addRelease, addEndpoint],
  ...[addRollback, addDeployment, addPredict, addLabels, addMonitor],
  ...[addHistory, addAudit, addLogs, addSpec, addKeys],
];

/** All commands. Usage errors end with the catalogue's exit code for USAGE. */
export function buildProgram(): Command {
  const program = new Command('slipway')
    .description('Durable, signed, audited lifecycle for machine-learning models, on Temporal')
    .version(version, '--version', 'print the version of Slipway')
    .option('--workspace <name>', 'workspace to use (default: SLIPWAY_WORKSPACE, else dev)')
    .option('--json', 'print the result as one JSON document')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('next: see `slipway <command> --help`')
    .exitOverride(exitWithUsage)
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 2 usage or spec, 3 data or training, 4 refused, 5 gates or rollout against, 6 unavailable, 7 not found, 70 defect.',
    );
  for (const add of COMMANDS) add(program);
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

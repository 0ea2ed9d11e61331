import type { Command } from 'commander';
import { findLockHolder } from '../../../infra/workspace/lock';
import { isAlive } from '../../../infra/workspace/process-table';
import { SlipwayError } from '../../../workflows/domain/errors';
import { withExample } from '../examples';
import { action, type Session } from '../session';

/** Workers may drain for 20 s, Temporal for 15 s. */
const STOP_TIMEOUT_MS = 45_000;

export function addDown(program: Command): void {
  const command = program
    .command('down')
    .description('stop the stack of this workspace; state is kept')
    .action(action(down));
  withExample(command, 'slipway down --workspace second');
}

async function down(session: Session): Promise<void> {
  const holder = findLockHolder(session.config.home);
  if (!holder) {
    session.result({ stopped: false }, [`workspace ${session.config.workspace} is not up`]);
    return;
  }
  process.kill(holder.pid, 'SIGTERM');
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  while (isAlive(holder)) {
    if (Date.now() > deadline)
      throw new SlipwayError('INTERNAL', `process ${holder.pid} did not stop in ${STOP_TIMEOUT_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  session.result({ stopped: true, pid: holder.pid }, [`workspace ${session.config.workspace} is down`]);
}

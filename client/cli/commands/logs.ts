import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { SlipwayError } from '../../../workflows/domain/errors';
import { withExample } from '../examples';
import { action, type Session } from '../session';

interface LogsOptions {
  readonly follow?: boolean;
  readonly bytes: string;
}

const POLL_MS = 300;

export function addLogs(program: Command): void {
  const command = program
    .command('logs [process]')
    .description('end of a process log: supervisor, temporal, control, compute, gpu or gateway')
    .option('-f, --follow', 'go on as it grows')
    .option('--bytes <count>', 'how much of the end to print', '8192')
    .action(action(logs));
  withExample(command, 'slipway logs control', 'slipway logs gateway --follow');
}

async function logs(session: Session, name: string | undefined, options: LogsOptions): Promise<void> {
  const folder = join(session.config.home, 'logs');
  const files = existsSync(folder)
    ? readdirSync(folder)
        .filter((file) => file.endsWith('.log'))
        .sort()
    : [];
  if (name === undefined) {
    session.result(
      { folder, files },
      files.map((file) => `${basename(file, '.log').padEnd(16)} ${join(folder, file)}`),
    );
    return;
  }
  const file = join(folder, `${name}.log`);
  if (!files.includes(`${name}.log`)) {
    throw new SlipwayError(
      'NOT_FOUND',
      `no log of ${name} in ${folder}; there are: ${files.map((known) => basename(known, '.log')).join(', ') || 'none'}`,
    );
  }
  let at = Math.max(0, statSync(file).size - Number(options.bytes));
  do {
    at = await copyFrom(file, at);
    if (options.follow === true) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  } while (options.follow === true);
}

/** Copies what is there after `start`; returns where it ended. A file that shrank was started anew. */
async function copyFrom(file: string, start: number): Promise<number> {
  const size = statSync(file).size;
  const from = size < start ? 0 : start;
  if (size === from) return from;
  for await (const chunk of createReadStream(file, { start: from, end: size - 1 }))
    process.stdout.write(chunk as Buffer);
  return size;
}

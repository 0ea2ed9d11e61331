import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SlipwayError } from '../../workflows/domain/errors';
import { identify, isAlive, type ProcessIdentity } from './process-table';

interface Ticket extends ProcessIdentity {
  readonly released: boolean;
}

export interface WorkspaceLock {
  release(): void;
}

const ticketPattern = /^stack\.(\d+)\.lock$/;

/**
 * One supervisor per workspace folder. Tickets are numbered; creating the next number with `link` is the claim, so two that find
 * the same dead holder cannot both win, and a claim never has to remove somebody else's. Throws STACK_RUNNING.
 */
export function lockWorkspace(home: string): WorkspaceLock {
  mkdirSync(home, { recursive: true });
  for (;;) {
    const newest = newestTicket(home);
    const holder = newest === 0 ? null : readTicket(home, newest);
    if (holder && !holder.released && isAlive(holder)) {
      throw new SlipwayError('STACK_RUNNING', `workspace folder ${home} is in use by process ${holder.pid}`);
    }
    const mine = newest + 1;
    if (!claim(home, mine)) continue;
    // A slow claimer may have taken a number that was cleared away meanwhile: the higher number holds.
    if (newestTicket(home) > mine) {
      rmSync(ticketPath(home, mine), { force: true });
      continue;
    }
    clearBelow(home, mine);
    return {
      release: () =>
        writeFileSync(ticketPath(home, mine), JSON.stringify({ ...identify(process.pid), released: true })),
    };
  }
}

/** Who holds the workspace now; null when nobody does. */
export function findLockHolder(home: string): ProcessIdentity | null {
  const newest = newestTicket(home);
  const holder = newest === 0 ? null : readTicket(home, newest);
  return holder && !holder.released && isAlive(holder) ? holder : null;
}

function claim(home: string, number: number): boolean {
  const draft = join(home, `stack.${process.pid}.claim`);
  writeFileSync(draft, JSON.stringify({ ...identify(process.pid), released: false }));
  try {
    linkSync(draft, ticketPath(home, number));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function newestTicket(home: string): number {
  try {
    return Math.max(0, ...readdirSync(home).map((name) => Number(ticketPattern.exec(name)?.[1] ?? 0)));
  } catch {
    return 0;
  }
}

function readTicket(home: string, number: number): Ticket | null {
  try {
    return JSON.parse(readFileSync(ticketPath(home, number), 'utf8')) as Ticket;
  } catch {
    return null;
  }
}

function clearBelow(home: string, number: number): void {
  for (const name of readdirSync(home)) {
    const found = Number(ticketPattern.exec(name)?.[1] ?? number);
    if (found < number) rmSync(join(home, name), { force: true });
  }
}

function ticketPath(home: string, number: number): string {
  return join(home, `stack.${number}.lock`);
}

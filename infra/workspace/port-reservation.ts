import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify, isAlive, type ProcessIdentity } from './process-table';

/**
 * Two stacks that start together would both find a port free that neither has bound yet. So a stack notes down the ports it chose, on this
 * machine, in its own name; a note of a dead process does not count. Advisory: whoever does not look binds, and is found by binding.
 */
const folder = join(tmpdir(), 'slipway-ports');

/** False where another living process noted the port down. */
export function reservePort(port: number): boolean {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, String(port));
  const mine = identify(process.pid);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      writeFileSync(file, JSON.stringify(mine), { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return true;
      const holder = readHolder(file);
      if (holder?.pid === process.pid) return true;
      if (holder && isAlive(holder)) return false;
      rmSync(file, { force: true });
    }
  }
  return false;
}

function readHolder(file: string): ProcessIdentity | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
  } catch {
    return null;
  }
}

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A process named so that a later one with the same number is not taken for it. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since boot (proc(5), field 22 of stat); null where /proc is missing. */
  readonly startTicks: string | null;
}

export function identify(pid: number): ProcessIdentity {
  return { pid, startTicks: readStartTicks(pid) };
}

/** Whether exactly this process lives; a zombie does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  if (identity.startTicks === null) return true;
  return readStartTicks(identity.pid) === identity.startTicks;
}

/** Command line of a process, for people; undefined where it cannot be read. */
export function commandOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return text === '' ? undefined : text.slice(0, 120);
  } catch {
    return undefined;
  }
}

export interface PortHolder {
  readonly pid: number | null;
  readonly command: string | null;
}

/** Who listens on a TCP port of this machine; null when nobody does. Pid and command are null where /proc does not tell. */
export function findPortHolder(port: number): PortHolder | null {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => listeningInodes(file, port)));
  if (inodes.size === 0) return null;
  for (const pid of processIds()) {
    if (descriptorsOf(pid).some((link) => inodes.has(link))) return { pid, command: commandOf(pid) ?? null };
  }
  return { pid: null, command: null };
}

function readStartTicks(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is a name in brackets that may itself hold brackets and spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

const LISTEN = '0A';

function listeningInodes(file: string, port: number): string[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  return readLines(file)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${hexPort}`) === true && fields[3] === LISTEN)
    .map((fields) => `socket:[${fields[9]}]`);
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

function processIds(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function descriptorsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return '';
      }
    });
  } catch {
    return [];
  }
}

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** What proc(5) says of one process, in clock ticks. */
export interface ProcessTimes {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** User and system time of all its threads, and of the children that it has waited for. */
  readonly ticks: number;
}

/** Reads `/proc/<pid>/stat`. The name in parentheses may hold blanks and parentheses, so fields are counted after the last one. */
export function parseProcStat(stat: string): ProcessTimes {
  const end = stat.lastIndexOf(')');
  const fields = stat.slice(end + 2).split(' ');
  const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
  if (end < 0 || cstime === undefined || !Number.isFinite(cstime)) throw new TypeError(`no line of proc(5): ${stat}`);
  return {
    pid: Number.parseInt(stat, 10),
    parent: Number(fields[1]),
    session: Number(fields[3]),
    ticks: utime! + stime! + cutime! + cstime,
  };
}

/**
 * Ticks of a process and all below it, ended ones included: the time of a child that was waited for moves into its parent's, so
 * the sum never falls. A process of the root's session counts even where what started it has ended; an orphan that
 * ended itself is lost.
 */
export function treeTicks(processes: readonly ProcessTimes[], root: number): number {
  const parents = new Map(processes.map(({ pid, parent }) => [pid, parent]));
  // The listing is no snapshot: with pids used again it may even go round in a circle, so the steps are bounded.
  const isBelow = (pid: number | undefined, steps: number): boolean =>
    pid !== undefined && steps >= 0 && (pid === root || isBelow(parents.get(pid), steps - 1));
  return processes
    .filter(({ pid, session }) => session === root || isBelow(pid, processes.length))
    .reduce((sum, { ticks }) => sum + ticks, 0);
}

let ticksPerSecond: number | undefined;

/** CPU time of a process tree since it began, in microseconds. Linux only. */
export function treeCpuUs(root: number): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return (treeTicks(readProcesses(), root) * 1e6) / ticksPerSecond;
}

function readProcesses(): ProcessTimes[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [parseProcStat(readFileSync(`/proc/${name}/stat`, 'latin1'))];
      } catch {
        return []; // It ended between the listing and the look.
      }
    });
}

/** Of the whole machine since it started, from the first line of `/proc/stat`: ticks in all, idle ones, and those a hypervisor took. */
export interface MachineTicks {
  readonly all: number;
  readonly idle: number;
  readonly stolen: number;
}

export function parseMachineStat(text: string): MachineTicks {
  const fields = (/^cpu +(.*)$/m.exec(text)?.[1] ?? '').split(' ').map(Number);
  // guest and guest_nice, the 9th and 10th, are in user and nice already.
  const all = fields.slice(0, 8).reduce((sum, ticks) => sum + ticks, 0);
  return { all, idle: (fields[3] ?? 0) + (fields[4] ?? 0), stolen: fields[7] ?? 0 };
}

export function readMachine(): MachineTicks {
  return parseMachineStat(readFileSync('/proc/stat', 'latin1'));
}

/** Shares of the machine's time between two looks, each [0, 1]. */
export function machineShares(before: MachineTicks, after: MachineTicks): { idle: number; stolen: number } {
  const all = Math.max(1, after.all - before.all);
  return { idle: (after.idle - before.idle) / all, stolen: (after.stolen - before.stolen) / all };
}

import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import {
  machineShares,
  parseMachineStat,
  parseProcStat,
  treeCpuUs,
  treeTicks,
  type ProcessTimes,
} from '../../bench/gateway/cpu-accounting';

/** A line of /proc/<pid>/stat whose fields 14 to 17 are utime, stime, cutime and cstime. */
const statLine = (pid: number, name: string, parent: number, session: number, times: readonly number[]): string =>
  `${pid} (${name}) S ${parent} ${pid} ${session} 0 -1 4194560 2107 0 0 0 ${times.join(' ')} 20 0 11 0 1234 99 7 18446744073709551615\n`;

const processOf = (pid: number, parent: number, ticks: number, session = pid): ProcessTimes => ({
  pid,
  parent,
  session,
  ticks,
});

describe('a line of /proc/<pid>/stat', () => {
  it('gives the time of a process and of the children that it waited for', () => {
    expect(parseProcStat(statLine(42, 'node', 7, 40, [100, 20, 3, 1]))).toEqual({
      pid: 42,
      parent: 7,
      session: 40,
      ticks: 124,
    });
  });

  it('is read right whatever a program calls itself', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 15 }), fc.nat(1e6), (name, ticks) => {
        const read = parseProcStat(statLine(42, name.replaceAll('\n', ' '), 7, 40, [ticks, 0, 0, 0]));
        expect(read).toEqual({ pid: 42, parent: 7, session: 40, ticks });
      }),
    );
  });

  it('is refused where it is none', () => {
    expect(() => parseProcStat('')).toThrow(TypeError);
    expect(() => parseProcStat('42 (node) S 7')).toThrow(TypeError);
  });
});

describe('the time of a process tree', () => {
  it('is that of the root and all below it, and of nobody else', () => {
    const processes = [
      processOf(1, 0, 1_000),
      processOf(10, 1, 5),
      processOf(11, 10, 7, 10),
      processOf(12, 11, 11, 10),
      processOf(20, 1, 100),
    ];
    expect(treeTicks(processes, 10)).toBe(23);
  });

  it('has what lost its parent and kept its session', () => {
    expect(treeTicks([processOf(10, 1, 5), processOf(12, 1, 11, 10)], 10)).toBe(16);
  });

  it('does not fall when a child ends, since its time moves to who waited for it', () => {
    const before = treeTicks([processOf(10, 1, 5), processOf(11, 10, 7)], 10);
    expect(treeTicks([processOf(10, 1, 12)], 10)).toBe(before);
  });

  it('ends for a listing whose parents go round in a circle', () => {
    expect(treeTicks([processOf(10, 1, 5), processOf(30, 31, 1), processOf(31, 30, 1)], 10)).toBe(5);
  });

  it('of this process grows by what a child used that has ended', () => {
    if (process.platform !== 'linux') return;
    const before = treeCpuUs(process.pid);
    const script = 'const end = process.cpuUsage().user + 1e5; while (process.cpuUsage().user < end);';
    execFileSync(process.execPath, ['-e', script]);
    // 100 ms and a start of Node, to a clock tick.
    expect(treeCpuUs(process.pid) - before).toBeGreaterThan(90_000);
  });
});

describe('the first line of /proc/stat', () => {
  it('gives the shares of a machine that were idle and taken by its hypervisor', () => {
    const before = parseMachineStat('cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 1 1 1\n');
    const after = parseMachineStat('cpu  150 0 120 760 110 0 10 50 60 0\n');
    expect(before).toEqual({ all: 1_000, idle: 800, stolen: 0 });
    expect(machineShares(before, after)).toEqual({ idle: 0.35, stolen: 0.25 });
  });
});

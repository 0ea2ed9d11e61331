import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

let pageBytes: number | undefined;

/** Resident memory of a process group in MiB; 0 when it is gone. */
export function groupMemoryMb(group: number): number {
  const kib = process.platform === 'linux' ? sumProc(group) : sumPs(group);
  return kib / 1024;
}

function sumProc(group: number): number {
  let pages = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    pages += pagesOf(name, group);
  }
  pageBytes ??= Number(execFileSync('getconf', ['PAGESIZE'], { encoding: 'utf8' }));
  return (pages * pageBytes) / 1024;
}

/** proc(5): the name in parentheses may hold blanks, so fields are counted after it; pgrp is the 3rd then, rss the 22nd. */
function pagesOf(pid: string, group: number): number {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return 0; // It ended between the listing and the look.
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[2]) === group ? Number(fields[21]) : 0;
}

function sumPs(group: number): number {
  const rows = execFileSync('ps', ['-A', '-o', 'pgid=,rss='], { encoding: 'utf8' }).split('\n');
  return rows
    .map((row) => row.trim().split(/\s+/).map(Number))
    .filter(([pgid]) => pgid === group)
    .reduce((sum, [, rss]) => sum + (rss ?? 0), 0);
}

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { version as ortVersion } from 'onnxruntime-node/package.json';
import type { PeerFamily } from './bench-options';

/** Where and with what a section was measured: one line under its table. */
export function describeRun(argv: readonly string[], peers: readonly PeerFamily[], startLoad: number): string {
  const command = ['npm run bench:gateway', ...(argv.length > 0 ? ['--', ...argv] : [])].join(' ');
  const machine = `${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? 'an unknown CPU'}`;
  const load = `load average ${startLoad.toFixed(1)} at the beginning`;
  const versions = [`Node ${process.versions.node}`, `onnxruntime-node ${ortVersion}`, ...pinned(peers)].join(', ');
  return `\`${command}\`, ${new Date().toISOString().slice(0, 10)}, commit ${commit()}; ${machine}; ${load}; ${versions}.`;
}

export const loadNow = (): number => loadavg()[0]!;

/** What the peers are installed by, in one list: `fastapi==0.1` is said once though two need it. */
function pinned(peers: readonly PeerFamily[]): string[] {
  const lines = peers.flatMap((family) =>
    readFileSync(join(__dirname, 'peers', `${family}.txt`), 'utf8')
      .split('\n')
      .filter(Boolean),
  );
  return [...new Set(lines)].map((line) => line.replace('==', ' '));
}

function commit(): string {
  try {
    const git = (...argv: string[]): string =>
      execFileSync('git', argv, { cwd: __dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    const isChanged =
      git('status', '--porcelain', '--', '../../../workers', '../../../infra', '../../../workflows') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' with changes' : ''}`;
  } catch {
    return 'unknown';
  }
}

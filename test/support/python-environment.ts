import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * A Python with these requirements, made once from PyPI in the cache outside the checkout and named by their digest. Null where there is no
 * Python 3.11 or newer. A virtual environment cannot be moved, so a half-made one is removed and made again in its place.
 * `progress` lets pip say what it fetches, for people who wait.
 */
export function pythonEnvironment(
  requirements: string,
  { shows = 'errors' }: { readonly shows?: 'errors' | 'progress' } = {},
): string | null {
  if (!hasPython()) return null;
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const cache =
    process.env['SLIPWAY_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'slipway');
  const folder = join(cache, `python-${digest}`);
  const python = join(folder, 'bin', 'python');
  if (existsSync(join(folder, 'complete'))) return python;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  execFileSync('python3', ['-m', 'venv', folder]);
  const quiet = shows === 'errors' ? ['--quiet'] : [];
  execFileSync(python, ['-m', 'pip', 'install', ...quiet, '--disable-pip-version-check', '-r', requirements], {
    stdio: 'inherit',
  });
  mkdirSync(join(folder, 'incomplete'));
  renameSync(join(folder, 'incomplete'), join(folder, 'complete'));
  return python;
}

function hasPython(): boolean {
  try {
    execFileSync('python3', ['-c', 'import sys, venv; sys.exit(sys.version_info < (3, 11))'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

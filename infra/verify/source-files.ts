import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { relative, join } from 'node:path';
import { promisify } from 'node:util';

const skipped = new Set(['node_modules', '.git', '.slipway', 'dist']);

/** Paths below root with forward slashes: what git tracks or would track; without git, what lies there. */
export async function sourceFiles(root: string): Promise<string[]> {
  try {
    const listed = promisify(execFile)('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
      maxBuffer: 64 << 20,
    });
    return (await listed).stdout.split('\0').filter((path) => path !== '' && existsSync(join(root, path)));
  } catch {
    return walk(root, root);
  }
}

async function walk(root: string, folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (skipped.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...(await walk(root, path)));
    else found.push(relative(root, path));
  }
  return found;
}

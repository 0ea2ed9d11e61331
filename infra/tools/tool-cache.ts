import { randomBytes } from 'node:crypto';
import { access, constants, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

const oneDayMs = 86_400_000;

/** Folder of what is fetched once per machine: SLIPWAY_CACHE, else XDG_CACHE_HOME/slipway, else ~/.cache/slipway. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  if (env['SLIPWAY_CACHE']) return env['SLIPWAY_CACHE'];
  return join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'slipway');
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/**
 * Fills `folder` atomically: `fill` works in a folder beside it, which is renamed when it is whole. What killed fillers left
 * behind is removed after a day.
 */
export async function fillFolder(folder: string, fill: (draft: string) => Promise<void>): Promise<void> {
  const draft = `${folder}.${process.pid}-${randomBytes(6).toString('hex')}.partial`;
  await mkdir(draft, { recursive: true });
  try {
    await fill(draft);
    await moveInPlace(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
    await sweepPartial(join(folder, '..'));
  }
}

/** A folder that is there already was left unusable by something else; it is moved away first. */
async function moveInPlace(draft: string, folder: string): Promise<void> {
  const old = `${draft}-old.partial`;
  await rename(folder, old).catch(() => undefined);
  await rename(draft, folder);
  await rm(old, { recursive: true, force: true });
}

async function sweepPartial(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    if (!name.endsWith('.partial')) continue;
    const found = await stat(join(parent, name)).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > oneDayMs) await rm(join(parent, name), { recursive: true, force: true });
  }
}

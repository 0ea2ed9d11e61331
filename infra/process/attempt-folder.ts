import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * Gives `work` a folder of its own below `parent` and removes it after. Folders of processes of this host that were SIGKILLed are
 * removed on the way: nobody else would.
 */
export async function withAttemptFolder<T>(
  parent: string,
  purpose: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  await mkdir(parent, { recursive: true });
  await sweep(parent);
  const folder = await mkdtemp(join(parent, `${purpose}.${hostname()}.${process.pid}.`));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A folder's name says host and process, so that another host's on a shared disk is left alone. */
async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const [pid] = name.split('.').slice(-2);
    const ours = name.includes(`.${hostname()}.`) && /^\d+$/.test(pid ?? '');
    if (ours && !lives(Number(pid))) await rm(join(parent, name), { recursive: true, force: true });
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

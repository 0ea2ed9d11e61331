import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';

/** Files kept while the store does not answer; the oldest go first. */
const MAX_BYTES = 512 << 20;
const RETRY_MS = 1_000;

/** A folder whose files go into the store under their relative paths, and are removed when they are there. */
export class Outbox {
  private sending: Promise<void> | null = null;
  private again = false;
  private retry: NodeJS.Timeout | null = null;

  constructor(
    readonly folder: string,
    private readonly put: (key: string, bytes: Uint8Array) => Promise<void>,
    private readonly onProblem: (error: Error) => void,
  ) {}

  /** On disk before this returns; in the store when it answers. Never throws: what the disk does not take is put once, at once. */
  write(key: string, bytes: Uint8Array): void {
    const path = join(this.folder, key);
    try {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(`${path}.tmp`, bytes);
      renameSync(`${path}.tmp`, path);
    } catch (error) {
      this.onProblem(error as Error);
      this.put(key, bytes).catch(this.onProblem);
      return;
    }
    void this.sendAll();
  }

  stop(): void {
    if (this.retry) clearTimeout(this.retry);
    this.retry = null;
  }

  /** Never rejects: what could not be put stays for the next time. */
  async sendAll(): Promise<void> {
    this.again = true;
    this.sending ??= this.sendWhileAsked().finally(() => (this.sending = null));
    await this.sending;
  }

  private async sendWhileAsked(): Promise<void> {
    while (this.again) {
      this.again = false;
      try {
        for (const path of await filesBelow(this.folder)) await this.send(path);
      } catch (error) {
        this.onProblem(error as Error);
        await this.shrink();
        this.retryLater();
        return;
      }
    }
  }

  private retryLater(): void {
    this.retry ??= setTimeout(() => {
      this.retry = null;
      void this.sendAll();
    }, RETRY_MS).unref();
  }

  private async send(path: string): Promise<void> {
    await this.put(relative(this.folder, path).split(sep).join('/'), await readFile(path));
    await rm(path, { force: true });
  }

  private async shrink(): Promise<void> {
    const files = await Promise.all(
      (await filesBelow(this.folder)).map(async (path) => ({ path, ...(await sizeOf(path)) })),
    );
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of files.sort((a, b) => a.modifiedMs - b.modifiedMs)) {
      if (bytes <= MAX_BYTES) return;
      await rm(file.path, { force: true });
      bytes -= file.bytes;
      this.onProblem(new Error(`the outbox is full; ${relative(this.folder, file.path)} was dropped`));
    }
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.tmp'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

async function sizeOf(path: string): Promise<{ bytes: number; modifiedMs: number }> {
  const found = await stat(path).catch(() => null);
  return { bytes: found?.size ?? 0, modifiedMs: found?.mtimeMs ?? 0 };
}

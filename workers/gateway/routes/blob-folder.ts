import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../../workflows/domain/digest';

export interface BlobFolderOptions {
  readonly folder: string;
  /** Above this, files go that no served release has, the oldest first. */
  readonly maxBytes: number;
  /** Younger files may be of a release that is being opened. */
  readonly keepForMs: number;
  readonly onProblem: (error: Error) => void;
}

/** Room for the model files of past releases, which make going back to one of them quick. */
export const BLOB_FOLDER_BYTES = 4 * 2 ** 30;
export const KEEP_BLOBS_FOR_MS = 3_600_000;

/**
 * This gateway's copies of model files. Unlike a cache by last use, what is served stays however long ago it was opened: a start without
 * the store needs it.
 */
export class BlobFolder {
  private sweeping: Promise<void> | null = null;

  constructor(private readonly options: BlobFolderOptions) {}

  /** Never rejects. */
  sweep(served: ReadonlySet<Digest>): Promise<void> {
    this.sweeping ??= this.sweepOnce(served)
      .catch((error: unknown) => this.options.onProblem(error as Error))
      .finally(() => (this.sweeping = null));
    return this.sweeping;
  }

  private async sweepOnce(served: ReadonlySet<Digest>): Promise<void> {
    const { folder, maxBytes, keepForMs } = this.options;
    const names = await readdir(folder).catch(() => []);
    const files = await Promise.all(
      names.map(async (name) => {
        const found = await stat(join(folder, name)).catch(() => null);
        return { name, bytes: found?.size ?? 0, atMs: found?.mtimeMs ?? Infinity };
      }),
    );
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const goneBeforeMs = Date.now() - keepForMs;
    for (const file of files.sort((a, b) => a.atMs - b.atMs)) {
      if (bytes <= maxBytes || file.atMs > goneBeforeMs) return;
      if (served.has(`sha256:${file.name}`)) continue;
      await rm(join(folder, file.name), { force: true });
      bytes -= file.bytes;
    }
  }
}

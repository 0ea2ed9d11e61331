import { readFileSync } from 'node:fs';
import { createBlobStore } from '../../infra/object-store/blobs';
import { digestOf } from '../../infra/object-store/digest';
import { createFsStore } from '../../infra/object-store/fs-store';
import type { Digest } from '../../workflows/domain/digest';

/** `blob-reader.ts <store> <cache> <maxBytes> <rounds> <digest>…`: asks for all blobs as files, round by round; exit code 1 for a byte that is wrong. */
async function main(): Promise<void> {
  const [store, cache, maxBytes, rounds, ...digests] = process.argv.slice(2);
  const blobs = createBlobStore(createFsStore(store!), cache!, { maxBytes: Number(maxBytes) });
  for (let round = 0; round < Number(rounds); round += 1) {
    for (const digest of digests as Digest[]) check(await blobs.file(digest), digest);
    process.stdout.write(`${round}\n`);
  }
}

function check(path: string, digest: Digest): void {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    // The test makes copies look old that were asked for just now.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (digestOf(bytes) !== digest) throw new Error(`${path} is torn`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});

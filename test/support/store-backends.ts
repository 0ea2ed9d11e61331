import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StoreConfig } from '../../infra/config/config';
import { temporaryFolder } from './temporary-folder';
import { startTestS3 } from './versitygw';

/** One kind of object store, as the contract suite needs it. */
export interface StoreBackend {
  /** Config of a new, empty store. */
  fresh(): StoreConfig;
  stop(): Promise<void>;
}

export async function startFsBackend(): Promise<StoreBackend> {
  const folder = temporaryFolder('store');
  return {
    fresh: () => ({ kind: 'fs', root: join(folder.path, randomBytes(4).toString('hex')) }),
    stop: async () => folder.remove(),
  };
}

export async function startS3Backend(): Promise<StoreBackend> {
  const server = await startTestS3();
  return { fresh: () => server.config(`t-${randomBytes(4).toString('hex')}`), stop: () => server.stop() };
}

/** Names of unfinished objects of a file-system store. */
export function unfinishedObjects(config: StoreConfig): string[] {
  return config.kind === 'fs' ? readdirSync(join(config.root, '.tmp')) : [];
}

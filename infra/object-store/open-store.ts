import type { StoreConfig } from '../config/config';
import { createFsStore } from './fs-store';
import type { ObjectStore } from './port';
import { createS3Store } from './s3-store';

/** The store of the config. Opens no connection and makes no folder until it is used. */
export function openStore(config: StoreConfig): ObjectStore {
  return config.kind === 'fs' ? createFsStore(config.root) : createS3Store(config);
}

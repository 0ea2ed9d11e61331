import type { StoreConfig } from '../config/config';
import { createFsStore } from './fs-store';
import type { ObjectStore } from './port';
import type * as S3Store from './s3-store';

/** The store of the config. Opens no connection and makes no folder until it is used. */
export function openStore(config: StoreConfig): ObjectStore {
  return config.kind === 'fs' ? createFsStore(config.root) : loadS3Store().createS3Store(config);
}

/** The AWS client takes longer to load than most commands take to run. */
function loadS3Store(): typeof S3Store {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- loaded when used
  return require('./s3-store') as typeof S3Store;
}

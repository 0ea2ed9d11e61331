import { ensureBucket } from '../../infra/object-store/s3-bucket';
import type { S3StoreConfig } from '../../infra/object-store/s3-store';
import { startLocalS3 } from '../../infra/tools/versitygw-server';
import { temporaryFolder } from './temporary-folder';

export interface TestS3 {
  readonly endpoint: string;
  readonly pid: number;
  /** A config with a prefix of its own, so that tests do not see each other's objects. */
  config(prefix: string, endpoint?: string): S3StoreConfig;
  stop(): Promise<void>;
}

const bucket = 'slipway-test';

/** A real S3 server on a free port in a temporary folder, with a bucket; puts its credentials into this process's environment. */
export async function startTestS3(folder?: string): Promise<TestS3> {
  const own = folder === undefined ? temporaryFolder('s3') : undefined;
  const server = await startLocalS3({ folder: folder ?? own?.path ?? '' });
  Object.assign(process.env, server.credentials);
  const config = (prefix: string, endpoint = server.endpoint): S3StoreConfig => ({
    kind: 's3',
    bucket,
    prefix,
    endpoint,
    region: server.region,
  });
  await ensureBucket(config(''));
  return {
    endpoint: server.endpoint,
    pid: server.pid,
    config,
    stop: async () => {
      await server.stop();
      own?.remove();
    },
  };
}

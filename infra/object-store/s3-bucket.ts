import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { isOwnBucket, s3Error } from './s3-errors';
import { createS3Client, type S3StoreConfig } from './s3-store';

/** Makes the bucket of the config unless it is there. For development servers; a real bucket is made by its owner. */
export async function ensureBucket(config: S3StoreConfig): Promise<void> {
  const client = createS3Client(config);
  try {
    await client.send(new CreateBucketCommand({ Bucket: config.bucket }));
  } catch (error) {
    if (isOwnBucket(error)) return;
    throw s3Error(error);
  } finally {
    client.destroy();
  }
}

import { SlipwayError } from '../../workflows/domain/errors';

interface Shape {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
}

/** By shape and not by class, since errors of Node's network code are of another realm inside jest. */
function shapeOf(error: unknown): Shape {
  const { name, message, $metadata } = (error ?? {}) as Partial<Error> & { $metadata?: { httpStatusCode?: number } };
  return { name: name ?? 'Unknown', message: message ?? String(error), status: $metadata?.httpStatusCode };
}

/** The object is not there. A bucket that is not there is a setting to correct, not an absent object. */
export function isAbsent(error: unknown): boolean {
  const { name, status } = shapeOf(error);
  return status === 404 && name !== 'NoSuchBucket';
}

/** 412: something is at the key. A 409 is not that: two writers met and neither may have won, so it is tried again. */
export function isLostRace(error: unknown): boolean {
  return shapeOf(error).status === 412;
}

/** The answer to creating a bucket that is there. */
export function isOwnBucket(error: unknown): boolean {
  return ['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'].includes(shapeOf(error).name);
}

const fullCodes = ['QuotaExceeded', 'InsufficientStorage', 'XMinioStorageFull', 'EntityTooLarge'];
const passingCodes = [
  'RequestTimeTooSkewed',
  'RequestTimeout',
  'SlowDown',
  'ConditionalRequestConflict',
  'OperationAborted',
];

/** What an error of the S3 client means to callers of the store. */
export function s3Error(error: unknown): unknown {
  // A TypeError is a defect of ours; trying it again would hide it.
  if (error instanceof SlipwayError || shapeOf(error).name === 'TypeError') return error;
  const { name, message, status } = shapeOf(error);
  const text = `${name}${status === undefined ? '' : ` (${status})`}: ${message}`;
  if (status === 507 || fullCodes.includes(name))
    return new SlipwayError('STORE_FULL', `S3 has no space left: ${text}`, { cause: error });
  if (isPassing(name, status))
    return new SlipwayError('STORE_UNAVAILABLE', `S3 does not answer: ${text}`, { cause: error });
  return new SlipwayError('CONFIG_INVALID', `S3 refuses: ${text}; check bucket, region, endpoint and credentials`, {
    cause: error,
  });
}

/** No status at all is a network error or a time-out. */
function isPassing(name: string, status: number | undefined): boolean {
  if (name === 'CredentialsProviderError') return false;
  return (
    status === undefined ||
    status >= 500 ||
    status === 429 ||
    status === 409 ||
    status < 300 ||
    passingCodes.includes(name)
  );
}

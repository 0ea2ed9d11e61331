import { SlipwayError } from '../../workflows/domain/errors';

/** By shape and not by class: Node's own errors are of another realm inside jest and inside `node:vm`. */
export function isNodeError(error: unknown): error is NodeJS.ErrnoException {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string';
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  return isNodeError(error) && codes.includes(error.code ?? '');
}

/** Nothing at the path, or a part of it is a file. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT', 'ENOTDIR');
}

/** What a failed file-system call means to callers of the store. EFBIG is a full quota in the guise of a file limit. */
export function fileSystemError(error: unknown, path: string): unknown {
  if (error instanceof SlipwayError || !isNodeError(error)) return error;
  if (hasCode(error, 'ENOSPC', 'EDQUOT', 'EFBIG')) {
    return new SlipwayError('STORE_FULL', `no space left for ${path}: ${error.message}`, { cause: error });
  }
  if (hasCode(error, 'EISDIR', 'ENOTDIR')) {
    return new SlipwayError('INTERNAL', `${path} is both an object and a folder of objects`, { cause: error });
  }
  if (hasCode(error, 'EPERM', 'ENOTSUP', 'EXDEV') && error.syscall === 'link') {
    const message = `the file system of ${path} has no hard links, which the store needs; choose another folder or S3`;
    return new SlipwayError('CONFIG_INVALID', message, { cause: error });
  }
  return new SlipwayError('STORE_UNAVAILABLE', `file-system store: ${error.message}`, { cause: error });
}

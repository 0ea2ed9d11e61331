import type { StatusObject } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import type { Problem } from '../inference/problem';

/** By HTTP status, which every code of the catalogue has (google.rpc.Code names the pairs that are common). */
const STATUS_OF = new Map<number, status>([
  [400, status.INVALID_ARGUMENT],
  [401, status.UNAUTHENTICATED],
  [403, status.PERMISSION_DENIED],
  [404, status.NOT_FOUND],
  [405, status.UNIMPLEMENTED],
  [409, status.ABORTED],
  [413, status.RESOURCE_EXHAUSTED],
  [415, status.INVALID_ARGUMENT],
  [422, status.INVALID_ARGUMENT],
  [429, status.RESOURCE_EXHAUSTED],
  [499, status.CANCELLED],
  [500, status.INTERNAL],
  [501, status.UNIMPLEMENTED],
  [502, status.INTERNAL],
  [503, status.UNAVAILABLE],
  [504, status.DEADLINE_EXCEEDED],
]);

/** Clients take 8 KiB of trailers in all, where other characters than ASCII are three times as long. */
const MOST_DETAILS = 1_024;

/** The catalogue's code goes along in the trailer `slipway-code`, and when to try again as clients that retry read it. */
export function statusOf({ code, message, status: http, retryAfterSeconds }: Problem): StatusObject {
  const metadata = new Metadata();
  metadata.set('slipway-code', code);
  if (retryAfterSeconds !== null) metadata.set('grpc-retry-pushback-ms', String(retryAfterSeconds * 1_000));
  return { code: STATUS_OF.get(http) ?? status.INTERNAL, details: sendable(message), metadata };
}

/** A lone surrogate, which a shortened message may end in, cannot be sent. */
function sendable(message: string): string {
  return Buffer.from(message.slice(0, MOST_DETAILS)).toString();
}

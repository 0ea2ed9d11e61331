import type { ModelMetadata, TensorMetadata } from '../metadata';
import { indexRow } from '../metadata';
import type { ServedModel } from '../routes/served-model';
import { WireReader } from './wire-reader';
import { WireWriter } from './wire-writer';

/** The small messages of open-inference.proto and health.proto, which nobody sends a thousand times a second. */

/** ModelReadyRequest, ModelMetadataRequest; of HealthCheckRequest `service` as the name. Throws REQUEST_INVALID. */
export function decodeModel(bytes: Buffer): { readonly name: string; readonly version: string } {
  const reader = new WireReader(bytes);
  let name = '';
  let version = '';
  while (reader.next()) {
    if (reader.field === 1) name = reader.string();
    else if (reader.field === 2) version = reader.string();
    else reader.skip();
  }
  return { name, version };
}

/** ServerLiveResponse, ServerReadyResponse, ModelReadyResponse. */
export function encodeFlag(value: boolean): Buffer {
  return value ? new WireWriter().bool(1, true).finish() : Buffer.alloc(0);
}

/** HealthCheckResponse: 1 is SERVING, 2 NOT_SERVING. */
export function encodeHealth(isServing: boolean): Buffer {
  return new WireWriter().int64(1, isServing ? 1 : 2).finish();
}

export function encodeServerMetadata(server: {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}): Buffer {
  const writer = new WireWriter().string(1, server.name).string(2, server.version);
  for (const extension of server.extensions) writer.string(3, extension);
  return writer.finish();
}

export function encodeModelMetadata({ name, versions, platform, inputs, outputs }: ModelMetadata): Buffer {
  const writer = new WireWriter().string(1, name);
  for (const version of versions) writer.string(2, version);
  writer.string(3, platform);
  for (const input of inputs) writer.raw(4, encodeTensorMetadata(input));
  for (const output of outputs) writer.raw(5, encodeTensorMetadata(output));
  return writer.finish();
}

function encodeTensorMetadata({ name, datatype, shape }: TensorMetadata): Buffer {
  return new WireWriter().string(1, name).string(2, datatype).int64s(3, shape).finish();
}

/** RepositoryIndexResponse. All that is served is ready, so `ready` of the request changes nothing. */
export function encodeIndex(all: readonly ServedModel[]): Buffer {
  const writer = new WireWriter();
  for (const served of all) {
    const { name, version, state, reason } = indexRow(served);
    const row = new WireWriter().string(1, name).string(2, version).string(3, state);
    if (reason !== '') row.string(4, reason);
    writer.raw(1, row.finish());
  }
  return writer.finish();
}

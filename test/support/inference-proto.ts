import { join } from 'node:path';
import type { MessageTypeDefinition, MethodDefinition, PackageDefinition } from '@grpc/proto-loader';
import { loadSync } from '@grpc/proto-loader';

const folder = join(__dirname, '../../workers/gateway/grpc');
type Methods = Readonly<Record<string, MethodDefinition<object, object>>>;

/** The gateway's .proto files as protobufjs reads them: a second opinion on every byte that the gateway reads and writes. */
export const proto: PackageDefinition = loadSync(['open-inference.proto', 'health.proto'], {
  includeDirs: [folder],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});

export const inferenceService = proto['inference.GRPCInferenceService'] as unknown as Methods;
export const healthService = proto['grpc.health.v1.Health'] as unknown as Methods;

/** Bytes of a message by its full name. */
export function encode(type: string, message: object): Buffer {
  return (proto[type] as MessageTypeDefinition<object, object>).serialize(message);
}

export function decode(type: string, bytes: Buffer): Record<string, unknown> {
  return (proto[type] as MessageTypeDefinition<object, object>).deserialize(bytes) as Record<string, unknown>;
}

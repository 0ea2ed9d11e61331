import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { SlipwayError } from '../../../workflows/domain/errors';
import { admissionInterceptor } from './call-admission';
import { healthMethods } from './health-methods';
import type { TlsMaterial } from '../edge/certificates';
import type { Models } from '../models';
import type { Method } from './inference-methods';
import { inferenceMethods } from './inference-methods';
import { RenewableCredentials } from './renewable-credentials';

export interface GrpcServerOptions extends Models {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Without TLS where it is left out. */
  readonly tls?: TlsMaterial;
}

export const INFERENCE_SERVICE = 'inference.GRPCInferenceService';
const HEALTH_SERVICE = 'grpc.health.v1.Health';

/** Of one connection: each may hold a whole message that is still being sent. */
const CONCURRENT_STREAMS = 256;
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
/** Callers that never finish reading. */
const DRAIN_LIMIT_MS = 20_000;

/**
 * V2 over gRPC beside the HTTP server, on a port of its own. Messages come and go as bytes, so that a message which cannot be read is
 * answered with the catalogue's code: grpc-js would say INTERNAL, which is nobody's fault but ours.
 */
export class GrpcServer {
  private readonly server: Server;
  private readonly credentials: RenewableCredentials | null;
  private isDraining = false;

  constructor(private readonly options: GrpcServerOptions) {
    // What goes wrong comes back as an error; the library would tell the console too.
    setLogVerbosity(logVerbosity.NONE);
    const { admission, tls } = options;
    this.credentials = tls ? new RenewableCredentials(tls) : null;
    this.server = new Server({
      ...(admission ? { interceptors: [admissionInterceptor(admission)] } : {}),
      'grpc.max_receive_message_length': options.service.options.limits.bodyBytes,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': CONCURRENT_STREAMS,
      'grpc.keepalive_time_ms': KEEPALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.enable_channelz': 0,
    });
    const models: Models = { ...options, isReady: () => options.isReady() && !this.isDraining };
    this.add(INFERENCE_SERVICE, inferenceMethods(models));
    this.add(HEALTH_SERVICE, healthMethods(models, INFERENCE_SERVICE));
  }

  /** Resolves with the port it listens on. Rejects with PORT_TAKEN. */
  async listen(): Promise<number> {
    const { host, port } = this.options;
    const credentials = this.credentials ?? ServerCredentials.createInsecure();
    return new Promise((resolve, reject) => {
      const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
      this.server.bindAsync(address, credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else if (error.message.includes('EADDRINUSE'))
          reject(new SlipwayError('PORT_TAKEN', `port ${port} of ${host} is taken`));
        else reject(error);
      });
    });
  }

  /** For connections from now on; nothing where it began without TLS. */
  renew(material: TlsMaterial): void {
    this.credentials?.renew(material);
  }

  /** Takes no new call, answers what it has, closes all connections. */
  async drain(): Promise<void> {
    this.isDraining = true;
    const limit = setTimeout(() => this.server.forceShutdown(), DRAIN_LIMIT_MS);
    await new Promise<void>((resolve) => this.server.tryShutdown(() => resolve()));
    clearTimeout(limit);
  }

  private add(service: string, methods: Readonly<Record<string, Method>>): void {
    const definition: ServiceDefinition = Object.fromEntries(
      Object.keys(methods).map((name) => [name, bytesMethod(`/${service}/${name}`)]),
    );
    this.server.addService(definition, methods);
  }
}

const same = (bytes: Buffer): Buffer => bytes;

function bytesMethod(path: string): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

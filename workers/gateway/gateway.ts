import type { Parts } from './assembly';
import { assemble } from './assembly';
import type { TlsMaterial } from './edge/certificates';
import type { GatewayOptions } from './gateway-options';
import type * as GrpcModule from './grpc/grpc-server';
import { Heartbeat } from './heartbeat';

export interface Gateway {
  readonly url: string;
  readonly port: number;
  /** Of V2 over gRPC; null where it is not served. */
  readonly grpcPort: number | null;
  readonly incarnation: string;
  /** One look at the store now, beside the regular ones. */
  poll(): Promise<void>;
  /** Answers what it has taken, then puts counts, log and heartbeat; loses nothing. */
  close(): Promise<void>;
}

/** Starts a gateway; resolves when it listens, which may be before a model is ready. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const parts = assemble(options);
  const { follower, server, logger } = parts;
  await follower.start();
  const address = await server.listen();
  const grpc = await startGrpc(options, parts);
  parts.certificates?.follow((material) => {
    server.renew(material);
    grpc?.renew(material);
  });
  const heartbeat = new Heartbeat({
    id: options.config.gateway.id,
    incarnation: parts.incarnation,
    address: address.url,
    follower,
    nowMs: parts.service.options.nowMs,
    put: parts.put,
    onProblem: parts.problem('store-failed'),
  });
  void heartbeat.beat(false);
  logger.info({ url: address.url, incarnation: parts.incarnation }, 'gateway listens');
  warnOfOpenDoor(options, parts);
  return {
    url: address.url,
    port: address.port,
    grpcPort: grpc?.port ?? null,
    incarnation: parts.incarnation,
    poll: () => follower.poll(),
    close: () => close(parts, heartbeat, grpc),
  };
}

/** Development needs no callers; a network does. */
function warnOfOpenDoor({ config, logger }: GatewayOptions, { models }: Parts): void {
  const { host } = config.gateway;
  if (isLoopback(host) || models.admission?.isOpen === false) return;
  logger.warn({ host }, 'the gateway lets everybody in: SLIPWAY_GATEWAY_FILE names no callers');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

interface Grpc {
  readonly port: number;
  renew(material: TlsMaterial): void;
  drain(): Promise<void>;
}

async function startGrpc({ config }: GatewayOptions, { models, certificates }: Parts): Promise<Grpc | null> {
  const { host, grpcPort } = config.gateway;
  if (grpcPort === null) return null;
  const tls = certificates ? { tls: certificates.material } : {};
  const server = new (loadGrpc().GrpcServer)({ ...models, ...tls, host, port: grpcPort });
  return { port: await server.listen(), renew: (material) => server.renew(material), drain: () => server.drain() };
}

/** After HTTP listens, and only where it is wanted: the library takes a tenth of a second. */
function loadGrpc(): typeof GrpcModule {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- loaded when used
  return require('./grpc/grpc-server') as typeof GrpcModule;
}

async function close(parts: Parts, heartbeat: Heartbeat, grpc: Grpc | null): Promise<void> {
  await Promise.all([parts.server.drain(), grpc?.drain()]);
  parts.certificates?.stop();
  parts.follower.stop();
  parts.inspections.close();
  await parts.service.settleBackground();
  parts.endpoints.close();
  await parts.log.close();
  await parts.observations.close();
  parts.outbox.stop();
  await heartbeat.close();
  await Promise.all([parts.executor.close(), parts.explainer.close()]);
  parts.logger.info({ incarnation: parts.incarnation }, 'gateway drained');
}

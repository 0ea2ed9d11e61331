import type { Parts } from './assembly';
import { assemble } from './assembly';
import type { GatewayOptions } from './gateway-options';
import { Heartbeat } from './heartbeat';

export interface Gateway {
  readonly url: string;
  readonly port: number;
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
  return {
    url: address.url,
    port: address.port,
    incarnation: parts.incarnation,
    poll: () => follower.poll(),
    close: () => close(parts, heartbeat),
  };
}

async function close(parts: Parts, heartbeat: Heartbeat): Promise<void> {
  await parts.server.drain();
  parts.follower.stop();
  parts.inspections.close();
  await parts.service.settleBackground();
  await parts.log.close();
  await parts.observations.close();
  parts.outbox.stop();
  await heartbeat.close();
  await parts.executor.close();
  parts.logger.info({ incarnation: parts.incarnation }, 'gateway drained');
}

import type { Bindings } from '../../../infra/endpoints/bindings';
import { parseEndpoint } from '../../../infra/endpoints/descriptor';
import { canonicalBytes } from '../../../infra/object-store/digest';
import type { GatewayHeartbeat } from '../../../workflows/domain/gateway';
import { keys } from '../../../workflows/domain/keys';
import type { BreakerEvent } from '../../../workflows/domain/observation';
import type { SampleRows, Signature } from '../../../workflows/domain/release';
import type { Gateway } from '../../../workers/gateway/gateway';
import { bindTo, ModelServer, tensorflowLike } from '../../support/model-server';
import { GatewayFixture, inferBody, MODEL, post, ready, until } from './fixture';
import { DISTANCE, linearModel, signatureWith } from './models';

/** Served by a server that answers score = 2 * distance + 0.5. */
export const TF = `
endpoint: risk-tf
protocol: json
path: /v1/models/risk:predict
timeout: 500ms
check: { every: 1s, tolerance: 1e-4, consecutive: 2 }
answer: { column: 1 }
`;
export const SAMPLES: SampleRows = { rows: [{ distance: 1 }, { distance: 3 }], outputs: [2.5, 6.5] };

export function endpointModel(text: string, signature: Signature = signatureWith([DISTANCE])) {
  return { kind: 'endpoint' as const, onnx: canonicalBytes(parseEndpoint(text, 'endpoint.yaml')), signature };
}

/** Never answers. */
export const hang = (): void => undefined;

export const askMany = (gateway: Gateway, count: number, changes = {}) =>
  Promise.all(Array.from({ length: count }, (_, at) => post(gateway.url, inferBody([at], changes))));

/** A store, gateways and the one server that they are put in front of. */
export class EndpointScene extends GatewayFixture {
  readonly server = new ModelServer(tensorflowLike(2, 0.5));

  async begin(): Promise<this> {
    await this.server.start();
    return this;
  }

  override async dispose(): Promise<void> {
    await super.dispose();
    await this.server.stop();
  }

  bound(changes: Parameters<typeof bindTo>[1] = {}): Bindings {
    return bindTo({ 'risk-tf': () => this.server.origin }, changes);
  }

  /** A gateway whose champion is the server. */
  async champion(text = TF, endpoints = this.bound()): Promise<Gateway> {
    await this.route(await this.release(endpointModel(text), SAMPLES));
    return this.start({ endpoints });
  }

  /** A gateway whose champion is a file (score = 2 * distance) and whose challenger is the server. */
  async canary(changes: Parameters<GatewayFixture['route']>[2] = {}, weight = 0.5, endpoints = this.bound()) {
    const file = await this.release(linearModel(2, 0));
    const release = await this.release(endpointModel(TF), SAMPLES);
    await this.route(file, { release, weight }, changes);
    const gateway = await this.start({ endpoints });
    await ready(gateway);
    return gateway;
  }

  /** What the gateway tells the workspace is wrong with the model. */
  async problem(): Promise<string | undefined> {
    const bytes = await this.store.get(keys.gateway('gateway-1'));
    if (!bytes) return undefined;
    return (JSON.parse(Buffer.from(bytes).toString()) as GatewayHeartbeat).models[MODEL]?.problem?.code;
  }

  async breakerEvent(gateway: Gateway): Promise<BreakerEvent> {
    const key = keys.breakerEvent(MODEL, 1, gateway.incarnation);
    await until(async () => (await this.store.get(key)) !== null, 'the breaker is told');
    return JSON.parse(Buffer.from((await this.store.get(key))!).toString()) as BreakerEvent;
  }
}

/** Status and code of a page, by default whether the model is ready. */
export async function health(
  gateway: Gateway,
  path = `/v2/models/${MODEL}/ready`,
): Promise<[number, string | undefined]> {
  const response = await fetch(`${gateway.url}${path}`);
  return [response.status, ((await response.json()) as { code?: string }).code];
}

/** First line of a metric of endpoints. */
export async function metric(gateway: Gateway, name: string): Promise<string | undefined> {
  const page = await (await fetch(`${gateway.url}/metrics`)).text();
  return page.split('\n').find((line) => line.startsWith(`slipway_gateway_endpoint_${name}`));
}

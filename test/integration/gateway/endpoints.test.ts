import { canonicalBytes } from '../../../infra/object-store/digest';
import { parseEndpoint } from '../../../infra/endpoints/descriptor';
import type { SampleRows } from '../../../workflows/domain/release';
import { keys } from '../../../workflows/domain/keys';
import type { BreakerEvent } from '../../../workflows/domain/observation';
import type { ServingSpec } from '../../../workflows/domain/serving';
import { bindTo, ModelServer, sendJson, tensorflowLike } from '../../support/model-server';
import { GatewayFixture, inferBody, MODEL, post, ready, until } from './fixture';
import { DISTANCE, linearModel, signatureWith } from './models';

const TF = `
endpoint: risk-tf
protocol: json
path: /v1/models/risk:predict
timeout: 500ms
check: { every: 1s, tolerance: 1e-4, consecutive: 2 }
answer: { column: 1 }
`;
const SAMPLES: SampleRows = { rows: [{ distance: 1 }, { distance: 3 }], outputs: [2.5, 6.5] };

let fixture: GatewayFixture;
let server: ModelServer;
beforeEach(async () => {
  fixture = new GatewayFixture();
  server = await new ModelServer(tensorflowLike(2, 0.5)).start();
});
afterEach(async () => {
  await fixture.dispose();
  await server.stop();
});

function endpointModel(text: string, serving: Partial<ServingSpec> = {}) {
  const onnx = canonicalBytes(parseEndpoint(text, 'endpoint.yaml'));
  return { kind: 'endpoint' as const, onnx, signature: signatureWith([DISTANCE]), serving };
}

const bound = (changes: Parameters<typeof bindTo>[1] = {}) => bindTo({ 'risk-tf': () => server.origin }, changes);

describe('a gateway in front of a server that exists', () => {
  it('answers with its scores', async () => {
    await fixture.route(await fixture.release(endpointModel(TF), SAMPLES));
    const gateway = await fixture.start({ endpoints: bound() });
    await ready(gateway);
    const answer = await post(gateway.url, inferBody([1, 2, 10]));
    expect([answer.status, answer.body.outputs[0]!.data]).toEqual([200, [2.5, 4.5, 20.5]]);
    expect(server.countOf('check')).toBeGreaterThanOrEqual(1);
    expect(server.calls.at(-1)).toMatchObject({
      path: '/v1/models/risk:predict',
      purpose: 'serve',
      headers: { 'accept-encoding': 'identity' },
    });
  });

  it('gives callers the champion, without one failed request, when a challenger dies under load', async () => {
    const champion = await fixture.release(linearModel(2, 0));
    const challenger = await fixture.release(endpointModel(TF), SAMPLES);
    await fixture.route(champion, { release: challenger, weight: 0.5 });
    const gateway = await fixture.start({ endpoints: bound() });
    await ready(gateway);
    const arms = new Set<string>();
    for (let sent = 0; sent < 400; sent += 20) {
      if (sent === 200) await server.stop();
      const answers = await Promise.all(Array.from({ length: 20 }, (_, at) => post(gateway.url, inferBody([sent + at]))));
      for (const [at, { status, body }] of answers.entries()) {
        expect(status).toBe(200);
        const bias = body.parameters.arm === 'challenger' ? 0.5 : 0;
        expect(body.outputs[0]!.data).toEqual([(sent + at) * 2 + bias]);
        arms.add(body.parameters.arm);
      }
    }
    expect([...arms].sort()).toEqual(['challenger', 'champion']);
    const key = keys.breakerEvent(MODEL, 1, gateway.incarnation);
    await until(async () => (await fixture.store.get(key)) !== null, 'the breaker is told');
    const event = JSON.parse(Buffer.from((await fixture.store.get(key))!).toString()) as BreakerEvent;
    expect(event.kind).toBeUndefined();
    expect(event.errors).toBeGreaterThanOrEqual(8);
  });
});

import { createCodec } from '../../../infra/endpoints/create-codec';
import { parseBindings } from '../../../infra/endpoints/bindings-file';
import { type EndpointDescriptor, parseEndpoint } from '../../../infra/endpoints/descriptor';
import { formatDuration } from '../../../infra/spec/units';
import { ERRORS } from '../../../workflows/domain/errors';
import { createMetrics } from '../../../infra/telemetry/metrics';
import { EndpointMetrics } from '../../../workers/gateway/endpoints/endpoint-metrics';
import { ENDPOINT_STATES } from '../../../workers/gateway/endpoints/endpoint-health';
import { inputSignature, signatureWith } from '../../integration/gateway/models';
import { parseOnly, readGuide, slipwayLines } from '../../support/guide';

const { text, blocks } = readGuide('endpoints.md');
const SIGNATURE = signatureWith([inputSignature('amount'), inputSignature('country', { type: 'category' })]);

const [bindings, ...endpoints] = blocks('yaml');
const read = (content: string): EndpointDescriptor => parseEndpoint(content, 'endpoint.yaml');

describe('docs/endpoints.md', () => {
  it('binds as a file of a process does', () => {
    expect(parseBindings(bindings!, '/etc/endpoints.yaml').get('risk-tf')).toEqual({
      origin: 'https://models.internal:8501',
      bearerTokenFile: '/etc/risk-token',
      ca: '/etc/internal-ca.pem',
      maxInFlight: 16,
    });
  });

  it('shows endpoint files that ask and read as the page says', () => {
    const [triton, tensorflow, own, single] = endpoints.map(read);
    expect(triton).toMatchObject({ protocol: 'v2', model: 'risk', version: '3', column: 1, idempotent: true });
    const ask = (descriptor: EndpointDescriptor, answer: unknown): [unknown, number[]] => {
      const codec = createCodec(descriptor, SIGNATURE);
      const sent: unknown = JSON.parse(codec.encode([[12.5], ['DE']], 0, 1).body.toString());
      return [sent, [...codec.decode({ body: Buffer.from(JSON.stringify(answer)), jsonBytes: null }, 1)]];
    };
    const score = [Math.fround(0.3)];
    expect(ask(tensorflow!, { predictions: [[0.7, 0.3]] })).toEqual([
      { instances: [{ amount: 12.5, country: 'DE' }] },
      score,
    ]);
    expect(ask(own!, [{ probability: 0.3 }])).toEqual([[{ amount: 12.5, country_code: 'DE' }], score]);
    expect(ask(single!, { probability: 0.3 })).toEqual([{ amount: 12.5, country: 'DE' }, score]);
    for (const shown of [
      '{"instances": [{"amount": 12.5, "country": "DE"}]}',
      '[{"amount": 12.5, "country_code": "DE"}]',
    ])
      expect(text).toContain(shown);
  });

  it.each(slipwayLines(blocks('sh')).map((args) => [args.join(' '), args] as const))(
    'slipway %s is a command with these options',
    async (_, args) => expect(await parseOnly(args)).toBeNull(),
  );

  it('has the defaults that there are', () => {
    const { timeoutMs, maxRows, check } = read('endpoint: e\nprotocol: json\npath: /p');
    const shown = [formatDuration(timeoutMs), `${maxRows}`, formatDuration(check.everyMs), `${check.tolerance}`];
    expect(shown).toEqual(['1s', '256', '30s', '0.0001']);
    expect(text).toContain(`| \`timeout\` | \`${shown[0]}\` |`);
    expect(text).toContain(`| \`maxRows\` | ${shown[1]} |`);
    expect(text).toContain(`| \`${shown[2]}\`, \`${shown[3]}\`, ${check.consecutive} |`);
  });

  it('names every code, metric and state of endpoints, and none that there is not', async () => {
    const codes = Object.keys(ERRORS).filter((code) => code.startsWith('ENDPOINT_'));
    expect([...new Set(text.match(/ENDPOINT_[A-Z_]+/g))].sort()).toEqual(codes.sort());
    const registry = createMetrics('test');
    new EndpointMetrics(registry).follow(new Set());
    const names = (await registry.getMetricsAsJSON())
      .map(({ name }) => name)
      .filter((name) => name.includes('endpoint'));
    expect([...new Set(text.match(/slipway_gateway_endpoint_[a-z_]+/g))].sort()).toEqual(names.sort());
    expect(Object.values(ENDPOINT_STATES)).toEqual([0, 1, 2, 3]);
    expect(text).toContain('0 never checked, 1 good, 2 unreachable, 3 different');
  });
});

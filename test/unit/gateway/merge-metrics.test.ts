import { Counter, Gauge } from 'prom-client';
import { createMetrics } from '../../../infra/telemetry/metrics';
import { mergeMetrics } from '../../../workers/gateway/fleet/merge-metrics';

async function pageOf(process: string, requests: number, lines: string): Promise<string> {
  const registry = createMetrics(process);
  new Counter({ name: 'requests_total', help: 'Requests.', labelNames: ['model'], registers: [registry] }).inc(
    { model: lines },
    requests,
  );
  new Gauge({ name: `only_${process}`, help: 'Of one.', registers: [registry] }).set(1);
  return registry.metrics();
}

describe('the metrics page of several processes', () => {
  it('has each metric once, and the series of all under it', async () => {
    const merged = mergeMetrics([await pageOf('a', 3, 'x'), await pageOf('b', 4, 'y\nz')]);
    const lines = merged.split('\n');
    const at = lines.indexOf('# TYPE requests_total counter');
    expect(lines.slice(at - 1, at + 3)).toEqual([
      '# HELP requests_total Requests.',
      '# TYPE requests_total counter',
      'requests_total{model="x",process="a"} 3',
      'requests_total{model="y\\nz",process="b"} 4',
    ]);
    const heads = lines.filter((line) => line.startsWith('# TYPE '));
    expect(new Set(heads).size).toBe(heads.length);
    expect(lines).toContain('only_a{process="a"} 1');
    expect(lines).toContain('only_b{process="b"} 1');
  });
});

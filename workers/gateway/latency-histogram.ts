import type { Metric, Registry } from 'prom-client';

const BOUNDS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

interface Series {
  readonly counts: Float64Array;
  sumSeconds: number;
}

/**
 * A Prometheus histogram by model whose `observe` is an array increment: prom-client's own hashes the labels at each call, which
 * is a measurable part of a request here.
 */
export class LatencyHistogram {
  private readonly series = new Map<string, Series>();

  constructor(
    registry: Registry,
    private readonly name: string,
    private readonly help: string,
  ) {
    const metric = {
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      get: () => Promise.resolve(this.read()),
      reset: () => this.series.clear(),
    };
    registry.registerMetric(metric as unknown as Metric);
  }

  observe(model: string, seconds: number): void {
    let series = this.series.get(model);
    if (!series)
      this.series.set(model, (series = { counts: new Float64Array(BOUNDS_SECONDS.length + 1), sumSeconds: 0 }));
    let bucket = 0;
    while (bucket < BOUNDS_SECONDS.length && seconds > BOUNDS_SECONDS[bucket]!) bucket += 1;
    series.counts[bucket]! += 1;
    series.sumSeconds += seconds;
  }

  private read(): object {
    const values: object[] = [];
    for (const [model, { counts, sumSeconds }] of this.series) {
      let cumulative = 0;
      counts.forEach((count, bucket) => {
        cumulative += count;
        values.push({
          labels: { model, le: BOUNDS_SECONDS[bucket] ?? '+Inf' },
          value: cumulative,
          metricName: `${this.name}_bucket`,
        });
      });
      values.push({ labels: { model }, value: sumSeconds, metricName: `${this.name}_sum` });
      values.push({ labels: { model }, value: cumulative, metricName: `${this.name}_count` });
    }
    return { name: this.name, help: this.help, type: 'histogram', aggregator: 'sum', values };
  }
}

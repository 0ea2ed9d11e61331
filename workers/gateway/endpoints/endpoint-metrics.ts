import { Counter, Gauge, type Registry } from 'prom-client';
import type { ErrorCode } from '../../../workflows/domain/errors';
import type { ModelName } from '../../../workflows/domain/names';
import { LatencyHistogram } from '../latency-histogram';
import { ENDPOINT_STATES, type EndpointHealth } from './endpoint-health';
import type { EndpointScorer } from './endpoint-scorer';

/** One open release whose model is a server. */
export interface OpenEndpoint {
  readonly model: ModelName;
  readonly health: EndpointHealth;
  readonly scorer: Pick<EndpointScorer, 'inFlight' | 'close'>;
}

/** What Prometheus is told of servers that exist, by model: bounded by the registry (I11). Where two releases of a model are open, the worse one. */
export class EndpointMetrics {
  private readonly requests: Counter<'model' | 'outcome'>;
  private readonly seconds: LatencyHistogram;

  constructor(private readonly registry: Registry) {
    this.requests = new Counter({
      name: 'slipway_gateway_endpoint_requests_total',
      help: 'Requests that were sent on to an external endpoint, by what came of them.',
      labelNames: ['model', 'outcome'],
      registers: [registry],
    });
    this.seconds = new LatencyHistogram(
      registry,
      'slipway_gateway_endpoint_seconds',
      'Time that an external endpoint took for a request, with all calls of it.',
    );
  }

  countCall(model: string, outcome: ErrorCode | 'ok' | 'hasty', ms: number): void {
    this.requests.inc({ model, outcome });
    this.seconds.observe(model, ms / 1_000);
  }

  /** Shows what is open at each scrape. */
  follow(opened: ReadonlySet<OpenEndpoint>): void {
    this.gauge('in_flight', 'Requests that external endpoints are at work on.', opened, (all) =>
      all.reduce((sum, { scorer }) => sum + scorer.inFlight, 0),
    );
    this.gauge(
      'check_difference',
      "Largest difference of an external endpoint's answers from the release's samples at the last check; +Inf: not readable.",
      opened,
      (all) => {
        const checked = all.flatMap(({ health }) => (health.difference === null ? [] : [health.difference]));
        return checked.length === 0 ? null : Math.max(...checked);
      },
    );
    this.gauge(
      'state',
      'Of an external endpoint: 0 never checked, 1 good, 2 unreachable, 3 answers otherwise than approved (page).',
      opened,
      (all) => Math.max(...all.map(({ health }) => ENDPOINT_STATES[health.state])),
    );
  }

  private gauge(
    name: string,
    help: string,
    opened: ReadonlySet<OpenEndpoint>,
    read: (ofModel: readonly OpenEndpoint[]) => number | null,
  ): void {
    const gauge: Gauge<'model'> = new Gauge({
      name: `slipway_gateway_endpoint_${name}`,
      help,
      labelNames: ['model'],
      registers: [this.registry],
      collect: () => {
        gauge.reset();
        for (const model of new Set([...opened].map((open) => open.model))) {
          const value = read([...opened].filter((open) => open.model === model));
          if (value !== null) gauge.set({ model }, value);
        }
      },
    });
  }
}

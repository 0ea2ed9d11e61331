import type { Registry } from 'prom-client';
import { Counter, Gauge } from 'prom-client';
import type { ErrorCode } from '../../workflows/domain/errors';
import type { ArmName } from '../../workflows/domain/route';
import type { DecodedInputs } from './inference/input-plan';
import { LatencyHistogram } from './latency-histogram';

/** Model label of requests for models that the registry does not know: one series for all such names (invariant I11). */
export const UNKNOWN_MODEL = 'unknown';

export interface ModelStatus {
  readonly model: string;
  readonly generation: number;
  readonly isLeased: boolean;
  readonly isTripped: boolean;
}

export interface MetricSources {
  readonly queuedRows: () => number;
  /** Batches that models are at work on. */
  readonly running: () => number;
  readonly models: () => readonly ModelStatus[];
  readonly predictionLog: () => { readonly rows: number; readonly dropped: number };
  /** Models whose newest route rests on a compromised key, wholly or in an arm. */
  readonly compromised: () => readonly string[];
  readonly failedTrustLooks: () => number;
  /** What is shown in place of this process's own page: that of all processes behind the port. */
  readonly page?: () => Promise<string>;
  /** Estimated memory of the releases that are open, by model. */
  readonly modelBytes?: () => ReadonlyMap<string, number>;
}

/**
 * Every number this gateway tells Prometheus. Labels are models of followed routes, arms and catalogue codes: never what
 * a caller sent. Requests only add to plain maps; prom-client is filled when it is scraped.
 */
export class GatewayMetrics {
  private readonly requests = new Map<string, Map<string, number>>();
  private readonly comparisons = new Map<string, Map<string, number>>();
  private readonly cached = new Map<string, Map<string, number>>();
  private readonly explained = new Map<string, Map<string, number>>();
  private readonly invalid = new Map<string, { flagged: number; imputed: number }>();
  private readonly events = new Map<string, number>();
  private readonly latency: LatencyHistogram;

  constructor(
    readonly registry: Registry,
    private readonly sources: MetricSources,
  ) {
    this.latency = new LatencyHistogram(
      registry,
      'slipway_gateway_latency_seconds',
      'Time from a whole request to its answer.',
    );
    this.registerCounters();
    this.registerGauges();
  }

  page(): Promise<string> {
    return this.sources.page?.() ?? this.registry.metrics();
  }

  /** `code` is `ok` or an error code of the catalogue. */
  countRequest(model: string, arm: ArmName | 'none' | 'override', code: ErrorCode | 'ok', latencyMs: number): void {
    let byOutcome = this.requests.get(model);
    if (!byOutcome) this.requests.set(model, (byOutcome = new Map<string, number>()));
    const outcome = `${arm} ${code}`;
    byOutcome.set(outcome, (byOutcome.get(outcome) ?? 0) + 1);
    this.latency.observe(model, latencyMs / 1_000);
  }

  /** `pair`: the other arm; `shadow`: a release that serves nobody. */
  countComparison(model: string, kind: 'pair' | 'shadow', outcome: 'scored' | 'dropped' | 'failed'): void {
    countIn(this.comparisons, model, `${kind} ${outcome}`);
  }

  countCache(model: string, isHit: boolean): void {
    countIn(this.cached, model, isHit ? 'hit' : 'miss');
  }

  /** `left-out`: the answer went without it; `refused`: the policy demands one, so there was no answer. */
  countExplanation(model: string, outcome: 'given' | 'left-out' | 'refused'): void {
    countIn(this.explained, model, outcome);
  }

  countInvalid(model: string, { flagged, imputed }: Pick<DecodedInputs, 'flagged' | 'imputed'>): void {
    let known = this.invalid.get(model);
    if (!known) this.invalid.set(model, (known = { flagged: 0, imputed: 0 }));
    known.flagged += flagged;
    known.imputed += imputed;
  }

  /** Something that was survived: `route-refused`, `store-failed`, `journal-failed`, `thread-lost`, `breaker-tripped`. */
  countEvent(event: string): void {
    this.events.set(event, (this.events.get(event) ?? 0) + 1);
  }

  private registerCounters(): void {
    this.counter('slipway_gateway_requests_total', 'Inference requests by outcome.', ['model', 'arm', 'code'], (add) =>
      addAll(this.requests, (model, outcome, count) => {
        const [arm, code] = outcome.split(' ') as [string, string];
        add({ model, arm, code }, count);
      }),
    );
    this.counter(
      'slipway_gateway_comparisons_total',
      'Rows that another release scored too, off the path of callers.',
      ['model', 'kind', 'outcome'],
      (add) =>
        addAll(this.comparisons, (model, name, count) => {
          const [kind, outcome] = name.split(' ') as [string, string];
          add({ model, kind, outcome }, count);
        }),
    );
    this.counter(
      'slipway_gateway_cache_total',
      'Requests of models with a cache, by whether their answer was in it.',
      ['model', 'outcome'],
      (add) => addAll(this.cached, (model, outcome, count) => add({ model, outcome }, count)),
    );
    this.counter(
      'slipway_gateway_explanations_total',
      'Explanations that were due, by what came of them; given by all of them is the coverage.',
      ['model', 'outcome'],
      (add) => addAll(this.explained, (model, outcome, count) => add({ model, outcome }, count)),
    );
    this.counter(
      'slipway_gateway_invalid_values_total',
      'Values outside the signature that were let in.',
      ['model', 'policy'],
      (add) => {
        for (const [model, counts] of this.invalid)
          for (const [policy, count] of Object.entries(counts)) add({ model, policy }, count);
      },
    );
    this.counter('slipway_gateway_events_total', 'Troubles that serving survived.', ['event'], (add) => {
      for (const [event, count] of this.events) add({ event }, count);
    });
    this.counter(
      'slipway_trust_failed_looks_total',
      'Looks at a trust file that could not be taken; the last good one counts on.',
      [],
      (add) => add({}, this.sources.failedTrustLooks()),
    );
    this.counter('slipway_gateway_prediction_log_total', 'Rows of the prediction log.', ['outcome'], (add) => {
      const { rows, dropped } = this.sources.predictionLog();
      add({ outcome: 'taken' }, rows);
      add({ outcome: 'dropped' }, dropped);
    });
  }

  private registerGauges(): void {
    this.gauge('slipway_gateway_queued_rows', 'Rows that wait for inference.', [], (set) =>
      set({}, this.sources.queuedRows()),
    );
    this.gauge('slipway_gateway_running_batches', 'Batches that models are at work on.', [], (set) =>
      set({}, this.sources.running()),
    );
    this.gauge('slipway_gateway_generation', 'Generation of the route that is served.', ['model'], (set) => {
      for (const { model, generation } of this.sources.models()) set({ model }, generation);
    });
    this.gauge(
      'slipway_key_compromised_in_use',
      '1 where the newest route, or a release in it, rests on a key listed as compromised. Not served; page.',
      ['model'],
      (set) => {
        for (const model of this.sources.compromised()) set({ model }, 1);
      },
    );
    this.gauge('slipway_gateway_model_bytes', 'Estimated memory of open releases.', ['model'], (set) => {
      for (const [model, bytes] of this.sources.modelBytes?.() ?? []) set({ model }, bytes);
    });
    this.gauge(
      'slipway_gateway_challenger_allowed',
      '1 where a challenger may serve: route confirmed in time, breaker closed.',
      ['model'],
      (set) => {
        for (const { model, isLeased, isTripped } of this.sources.models())
          set({ model }, isLeased && !isTripped ? 1 : 0);
      },
    );
  }

  private counter(
    name: string,
    help: string,
    labelNames: string[],
    fill: (add: (labels: Record<string, string>, value: number) => void) => void,
  ): void {
    const counter = new Counter({
      name,
      help,
      labelNames,
      registers: [this.registry],
      collect: () => {
        counter.reset();
        fill((labels, value) => counter.inc(labels, value));
      },
    });
  }

  private gauge(
    name: string,
    help: string,
    labelNames: string[],
    fill: (set: (labels: Record<string, string>, value: number) => void) => void,
  ): void {
    const gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [this.registry],
      collect: () => {
        gauge.reset();
        fill((labels, value) => gauge.set(labels, value));
      },
    });
  }
}

type Counts = Map<string, Map<string, number>>;

function countIn(counts: Counts, model: string, name: string): void {
  let known = counts.get(model);
  if (!known) counts.set(model, (known = new Map<string, number>()));
  known.set(name, (known.get(name) ?? 0) + 1);
}

function addAll(counts: Counts, add: (model: string, name: string, count: number) => void): void {
  for (const [model, known] of counts) for (const [name, count] of known) add(model, name, count);
}

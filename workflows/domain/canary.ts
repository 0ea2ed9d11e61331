import type { DisagreementClaim } from './disagreement-claim';
import { eventSpan } from './event-span';
import {
  type BreakerEvent,
  type ObservationDocument,
  PAIRED_WINDOW_MS,
  type PairedCounts,
  type PairedWindowRow,
} from './observation';
import type { ArmName } from './route';
import type { RolloutSpec, Task } from './spec';
import { judgeDisagreement } from './statistics/disagreement-verdict';
import { judgeErrors, type ErrorCounts } from './statistics/error-verdict';
import type { KeyCounts } from './statistics/error-rates';
import type { Verdict } from './verdict';

/** What all gateways saw of a rollout: sums over the documents of its generations. */
export interface CanarySums {
  readonly errors: ErrorCounts;
  readonly paired: PairedCounts;
  /** From where traffic began: what few callers sent late is in `paired` alone. */
  readonly pairedWindows: readonly PairedWindowRow[];
  readonly requests: Readonly<Record<ArmName, number>>;
  /** How far time has come and where it began, in the route's clock, epoch ms, whatever few callers say; null with hardly any traffic. */
  readonly watermarkMs: number | null;
  readonly firstMs: number | null;
}

export function sumObservations(documents: readonly ObservationDocument[]): CanarySums {
  const sum = (pick: (document: ObservationDocument) => number): number =>
    documents.reduce((total, document) => total + pick(document), 0);
  const span = eventSpan(documents);
  const keysOf = (arm: ArmName): KeyCounts => ({
    keys: sum((document) => document.arms[arm]?.keys ?? 0),
    errorKeys: sum((document) => document.arms[arm]?.errorKeys ?? 0),
  });
  return {
    errors: {
      champion: keysOf('champion'),
      challenger: keysOf('challenger'),
      challengerLost: sum((document) => challengerLostAtMost(document, documents)),
    },
    paired: {
      keys: sum(({ paired }) => paired.keys),
      sumAbsDifference: sum(({ paired }) => paired.sumAbsDifference),
      sumSquaredDifference: sum(({ paired }) => paired.sumSquaredDifference),
    },
    pairedWindows: documents.flatMap(({ pairedWindows = [], pairedWindowMs = PAIRED_WINDOW_MS }) =>
      pairedWindows.filter(({ startMs }) => span !== null && startMs + pairedWindowMs > span.firstMs),
    ),
    requests: {
      champion: sum(({ arms }) => arms.champion?.requests ?? 0),
      challenger: sum(({ arms }) => arms.challenger?.requests ?? 0),
    },
    watermarkMs: span?.untilMs ?? null,
    firstMs: span?.firstMs ?? null,
  };
}

/**
 * How many of a gateway's lost requests the challenger may have had: by its share of the generation's requests, two standard
 * deviations up. A crash loses requests of both arms alike, so that taking all of them for the challenger's would turn
 * every killed gateway into a rollback.
 */
function challengerLostAtMost(document: ObservationDocument, documents: readonly ObservationDocument[]): number {
  if (document.lostAtMost === 0) return 0;
  const same = documents.filter(({ generation }) => generation === document.generation);
  const requests = (arm: ArmName): number => same.reduce((sum, { arms }) => sum + (arms[arm]?.requests ?? 0), 0);
  const all = requests('champion') + requests('challenger');
  const share = all === 0 ? 1 : requests('challenger') / all;
  const spread = 2 * Math.sqrt(document.lostAtMost * share * (1 - share));
  return Math.min(document.lostAtMost, Math.ceil(document.lostAtMost * share + spread));
}

/** What a step has to show of disagreement, and how far the rollout's clock has come, epoch ms. */
export interface DisagreementStage {
  readonly claim: DisagreementClaim;
  readonly untilMs: number | null;
}

/** Errors first, then disagreement where the spec asks for it, then what breakers reported. */
export function judgeCanary(
  spec: Pick<RolloutSpec, 'errors' | 'disagreement'>,
  task: Task,
  sums: CanarySums,
  breakers: readonly BreakerEvent[],
  { claim, untilMs }: DisagreementStage,
): Verdict[] {
  const paired = { total: sums.paired, windows: sums.pairedWindows, untilMs };
  return [
    judgeErrors(spec.errors, sums.errors),
    ...(spec.disagreement ? [judgeDisagreement(spec.disagreement, paired, task, claim)] : []),
    ...breakers.slice(0, 1).map((event) => breakerVerdict(event, breakers.length)),
  ];
}

function breakerVerdict(event: BreakerEvent, gateways: number): Verdict {
  const isChanged = event.kind === 'changed';
  return {
    check: 'breaker',
    outcome: 'fail',
    statistic: isChanged
      ? { name: 'gateways that found the endpoint changed', value: gateways }
      : { name: 'errors of the challenger', value: event.errors },
    bound: isChanged ? { name: 'allowed', value: 0 } : { name: 'trips', value: 1 },
    counts: { requests: event.requests, errors: event.errors, trips: gateways },
    detail: `gateway ${event.gateway} took the challenger out: ${event.reason}`,
    resolves: '',
  };
}

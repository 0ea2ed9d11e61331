import { type CanaryKeys, countersOf, sumKeys } from './counters';
import type { DisagreementClaim } from './disagreement-claim';
import { eventSpan } from './event-span';
import type { BreakerEvent, ObservationDocument } from './observation';
import type { ArmName } from './route';
import type { AssignmentSpec, RolloutSpec, Task } from './spec';
import type { Counter } from './statistics/counts-apart';
import { judgeDisagreement } from './statistics/disagreement-verdict';
import { judgeErrors } from './statistics/error-verdict';
import type { Verdict } from './verdict';

/**
 * What all gateways saw of a rollout: sums over the documents of its generations. A key that asked several gateways is in the sums
 * of keys several times: verdicts over keys are made from `counters`. Paired windows begin where traffic did: what few callers sent
 * late is in `paired` alone.
 */
export interface CanarySums extends CanaryKeys {
  readonly counters: readonly Counter<CanaryKeys>[];
  readonly requests: Readonly<Record<ArmName, number>>;
  /** How far time has come and where it began, in the route's clock, epoch ms, whatever few callers say; null with hardly any traffic. */
  readonly watermarkMs: number | null;
  readonly firstMs: number | null;
}

export function sumObservations(
  documents: readonly ObservationDocument[],
  assignment: AssignmentSpec['source'],
): CanarySums {
  const span = eventSpan(documents);
  const requestsOf = (arm: ArmName): number => documents.reduce((sum, { arms }) => sum + (arms[arm]?.requests ?? 0), 0);
  const firstMs = span?.firstMs ?? null;
  return {
    ...sumKeys(documents, documents, firstMs),
    counters: countersOf(documents, assignment, firstMs),
    requests: { champion: requestsOf('champion'), challenger: requestsOf('challenger') },
    watermarkMs: span?.untilMs ?? null,
    firstMs,
  };
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
  const pairedOf = ({ paired, pairedWindows }: CanaryKeys) => ({ total: paired, windows: pairedWindows, untilMs });
  const errors = sums.counters.map((counter) => ({ ...counter, counts: counter.counts.errors }));
  const paired = sums.counters.map((counter) => ({ ...counter, counts: pairedOf(counter.counts) }));
  return [
    judgeErrors(spec.errors, errors),
    ...(spec.disagreement ? [judgeDisagreement(spec.disagreement, pairedOf(sums), paired, task, claim)] : []),
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

import type { ObservationDocument, PairedCounts, PairedWindowRow } from './observation';
import { PAIRED_WINDOW_MS } from './observation';
import type { ArmName } from './route';
import type { AssignmentSpec } from './spec';
import { alphaShareOf, type Counter, together } from './statistics/counts-apart';
import type { KeyCounts } from './statistics/error-rates';
import type { ErrorCounts } from './statistics/error-verdict';

/** What verdicts over keys are made from. */
export interface CanaryKeys {
  readonly errors: ErrorCounts;
  readonly paired: PairedCounts;
  readonly pairedWindows: readonly PairedWindowRow[];
}

/**
 * Whose keys are independent trials. Where each request is a key of its own no two gateways have one in common, and all are counted
 * together. Other keys may be met by several gateways, which count apart; one that is alone so far may not stay so, and shares do not
 * wait for who comes. `from` (epoch ms) leaves out paired windows of before.
 */
export function countersOf(
  documents: readonly ObservationDocument[],
  assignment: AssignmentSpec['source'],
  fromMs: number | null,
): Counter<CanaryKeys>[] {
  const keysOf = (some: readonly ObservationDocument[]): CanaryKeys => sumKeys(some, documents, fromMs);
  if (assignment === 'request' || documents.length === 0) return [together(keysOf(documents))];
  return gatewaysInOrder(documents).map((gateway, index) => ({
    gateway,
    alphaShare: alphaShareOf(index + 1),
    counts: keysOf(documents.filter((document) => document.gateway === gateway)),
  }));
}

/**
 * By when they began the rollout, then by id. One whose document does not say is of an older version, and was there before. That is
 * the order of the documents there are: one that comes late, or a clock that is behind, moves those that began after it to smaller
 * shares than they were judged by before, and then the shares used sum to more than 1.
 */
function gatewaysInOrder(documents: readonly ObservationDocument[]): string[] {
  const opened = new Map<string, string>();
  for (const { gateway, openedAt = '' } of documents) {
    const before = opened.get(gateway);
    if (before === undefined || openedAt < before) opened.set(gateway, openedAt);
  }
  const order = ([idA, a]: [string, string], [idB, b]: [string, string]): number =>
    a === b ? (idA < idB ? -1 : 1) : a < b ? -1 : 1;
  return [...opened].sort(order).map(([gateway]) => gateway);
}

export function sumKeys(
  documents: readonly ObservationDocument[],
  all: readonly ObservationDocument[],
  fromMs: number | null,
): CanaryKeys {
  const sum = (pick: (document: ObservationDocument) => number): number =>
    documents.reduce((total, document) => total + pick(document), 0);
  const keysOf = (arm: ArmName): KeyCounts => ({
    keys: sum((document) => document.arms[arm]?.keys ?? 0),
    errorKeys: sum((document) => document.arms[arm]?.errorKeys ?? 0),
  });
  return {
    errors: {
      champion: keysOf('champion'),
      challenger: keysOf('challenger'),
      challengerLost: sum((document) => challengerLostAtMost(document, all)),
    },
    paired: {
      keys: sum(({ paired }) => paired.keys),
      sumAbsDifference: sum(({ paired }) => paired.sumAbsDifference),
      sumSquaredDifference: sum(({ paired }) => paired.sumSquaredDifference),
    },
    pairedWindows: documents.flatMap(({ pairedWindows = [], pairedWindowMs = PAIRED_WINDOW_MS }) =>
      pairedWindows.filter(({ startMs }) => fromMs !== null && startMs + pairedWindowMs > fromMs),
    ),
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

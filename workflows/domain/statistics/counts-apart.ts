import type { Outcome, Verdict } from '../verdict';

/** Counts whose trials are independent within them, and what they may spend of alpha. */
export interface Counter<T> {
  /** Null: the counts of all gateways in one. */
  readonly gateway: string | null;
  /** In (0, 1]. */
  readonly alphaShare: number;
  readonly counts: T;
}

/** Of alpha, for the gateway that began first. */
const FIRST_SHARE = 0.9;

/**
 * What the gateway that began as the `rank`-th (from 1) may spend of alpha. A key that asks several gateways is a trial at each of
 * them, so that their sums are no counts of independent trials, and no mean of their e-values is an e-value at a time that all of
 * them decide. Each one's own e-value e stays valid whatever the others see, and by the union bound
 * P(any e >= 1/(share alpha), ever) <= sum of shares * alpha, under any overlap and dependence, as long as each keeps its share.
 * Shares go by the order in which gateways begin, before they have counted anything, and one that begins later changes none: 0.9 for
 * the first, then 0.2/(r(r + 1)), which sums to 0.1 however many join. Only where one is heard of late more is spent (see
 * `gatewaysInOrder`). An even split would need to know how many come: that of the first one, who may stay alone, cannot be taken
 * back once it was used.
 */
export function alphaShareOf(rank: number): number {
  return rank === 1 ? FIRST_SHARE : (2 * (1 - FIRST_SHARE)) / (rank * (rank + 1));
}

/** Whatever saw it: one set of counts with all of alpha. */
export function together<T>(counts: T): Counter<T> {
  return { gateway: null, alphaShare: 1, counts };
}

interface Weighed {
  readonly outcome: Outcome;
  /** How far it is to a verdict, 1 is there; -Infinity where nothing was counted. */
  readonly progress: number;
}

interface Decision<W> {
  /** Whose counts the verdict is made from. */
  readonly deciding: W;
  readonly outcome: Outcome;
  /** It passed, and the sums over all gateways look worse. */
  readonly isHeldBack: boolean;
}

/**
 * A `fail` of any decides, then a `pass` of any; else the one that is nearest to either speaks for all. What one gateway passes is
 * shown for its callers, and those of others may differ: where the sums over all are not within the limit as they stand
 * (`areSumsWithin`) nothing is decided. That only makes passes rarer, so that it spends no alpha.
 */
export function decidingOf<W extends Weighed>(all: readonly W[], areSumsWithin: boolean): Decision<W> {
  const failed = all.find(({ outcome }) => outcome === 'fail');
  if (failed) return { deciding: failed, outcome: 'fail', isHeldBack: false };
  const passed = all.find(({ outcome }) => outcome === 'pass');
  if (passed) return { deciding: passed, outcome: areSumsWithin ? 'pass' : 'inconclusive', isHeldBack: !areSumsWithin };
  const nearest = all.reduce((best, one) => (one.progress > best.progress ? one : best));
  return { deciding: nearest, outcome: 'inconclusive', isHeldBack: false };
}

interface AllCounted {
  readonly gateways: number;
  /** Counted by the one that the verdict is made from, and by all. */
  readonly keys: number;
  readonly allKeys: number;
  /** What the sums over all are, where they hold its pass back; else null. */
  readonly heldBackBy: string | null;
}

/** Says whose counts these are, where there are several. */
export function withCounter<T>(
  verdict: Verdict,
  { gateway }: Counter<T>,
  { gateways, keys, allKeys, heldBackBy }: AllCounted,
): Verdict {
  if (gateway === null || gateways < 2) return verdict;
  const { counts, detail, resolves } = verdict;
  const of = `counted by gateway ${gateway} (${keys} of ${allKeys} keys that ${gateways} gateways counted apart)`;
  const more = 'only with `assignment: { source: request }` the counts of all gateways add up';
  const open = resolves === '' ? '' : `${resolves}, at one gateway; ${more}`;
  return {
    ...verdict,
    counts: { ...counts, gateways },
    detail: heldBackBy === null ? `${detail}; ${of}` : `${detail}; ${of}, but over all gateways ${heldBackBy}`,
    resolves: heldBackBy === null ? open : SUMS_WITHIN,
  };
}

const SUMS_WITHIN = 'the sums over all gateways have to be within the limit too: more traffic at the other gateways';

/** Name and value that an e-value has to reach. */
export function boundOf(alpha: number, { alphaShare }: Pick<Counter<unknown>, 'alphaShare'>): Verdict['bound'] {
  const percent = Number((alphaShare * 100).toPrecision(3));
  return {
    name: alphaShare === 1 ? '1/alpha' : `1/(${percent} % of alpha)`,
    value: 1 / (alpha * alphaShare),
  };
}

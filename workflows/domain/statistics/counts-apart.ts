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
 * P(any e >= 1/(share alpha), ever) <= sum of shares * alpha, under any overlap and dependence. Shares are fixed by the order in which
 * gateways begin, before they have counted anything, and no later one changes those before it: 0.9 for the first, then
 * 0.2/(r(r + 1)), which sums to 0.1 however many join. An even split would need to know how many come: that of the first one, who
 * may stay alone, cannot be taken back once it was used.
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

/** A `fail` of any decides, then a `pass` of any; else the one that is nearest to either speaks for all. */
export function decidingOf<W extends Weighed>(all: readonly W[]): W {
  const decided =
    all.find(({ outcome }) => outcome === 'fail') ?? all.find(({ outcome }) => outcome === 'pass') ?? undefined;
  return decided ?? all.reduce((nearest, one) => (one.progress > nearest.progress ? one : nearest));
}

/** Says whose counts these are, where there are several: `keys` were counted by it, `allKeys` by all. */
export function withCounter<T>(
  verdict: Verdict,
  { gateway }: Counter<T>,
  { gateways, keys, allKeys }: { readonly gateways: number; readonly keys: number; readonly allKeys: number },
): Verdict {
  if (gateway === null || gateways < 2) return verdict;
  const { counts, detail, resolves } = verdict;
  const of = `counted by gateway ${gateway} (${keys} of ${allKeys} keys that ${gateways} gateways counted apart)`;
  const more = 'only with `assignment: { source: request }` the counts of all gateways add up';
  return {
    ...verdict,
    counts: { ...counts, gateways },
    detail: `${detail}; ${of}`,
    resolves: resolves === '' ? '' : `${resolves}, at one gateway; ${more}`,
  };
}

/** Name and value that an e-value has to reach. */
export function boundOf(alpha: number, { alphaShare }: Pick<Counter<unknown>, 'alphaShare'>): Verdict['bound'] {
  const percent = Number((alphaShare * 100).toPrecision(3));
  return {
    name: alphaShare === 1 ? '1/alpha' : `1/(${percent} % of alpha)`,
    value: 1 / (alpha * alphaShare),
  };
}

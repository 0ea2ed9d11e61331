import type { FeatureProfile } from '../profile';
import { referenceCounts } from '../profile';
import type { MonitorSpec } from '../spec';
import type { Verdict } from '../verdict';
import { chiSquareCdf } from './distributions';

export interface DriftTest {
  /** Population stability index over the bins that were kept. */
  readonly psi: number;
  readonly bins: number;
  /** Probability of at least this much where nothing drifted. */
  readonly pValue: number;
}

/** Bins with fewer rows, in the reference or as expected in the window, are put together with a neighbour: chi-square needs them. */
const SMALLEST_EXPECTED = 10;

/**
 * Population stability index of a window against a reference, and its p-value: where nothing drifted, PSI / (1/N + 1/M) is
 * about chi-square with B - 1 degrees (Yurdakul 2018, "Statistical properties of population stability index"), so that small
 * windows do not alarm by themselves. Counts are in the order of `referenceCounts`. Bins outside the reference's own range (out
 * of range, other, missing) stay by themselves as soon as they hold rows, since little mass far out is what quantile bins hide.
 */
export function testDrift(reference: readonly number[], window: readonly number[], ordinaryBins: number): DriftTest {
  const bins = mergeBins(reference, window, ordinaryBins);
  const n = total(reference);
  const m = total(window);
  if (n === 0 || m === 0 || bins.length < 2) return { psi: 0, bins: bins.length, pValue: 1 };
  let psi = 0;
  for (const bin of bins) {
    const before = Math.max(bin.reference, 0.5) / n;
    const now = Math.max(bin.window, 0.5) / m;
    psi += (now - before) * Math.log(now / before);
  }
  return { psi, bins: bins.length, pValue: 1 - chiSquareCdf(psi / (1 / n + 1 / m), bins.length - 1) };
}

interface Bin {
  reference: number;
  window: number;
}

function mergeBins(reference: readonly number[], window: readonly number[], ordinaryBins: number): Bin[] {
  const scale = Math.min(1, total(window) / Math.max(1, total(reference)));
  const merged: Bin[] = [];
  let open: Bin = { reference: 0, window: 0 };
  const special: Bin[] = [];
  reference.forEach((count, position) => {
    const bin = { reference: count, window: window[position] ?? 0 };
    if (position >= ordinaryBins) special.push(bin);
    else {
      open = sumOf(open, bin);
      if (open.reference * scale < SMALLEST_EXPECTED) return;
      merged.push(open);
      open = { reference: 0, window: 0 };
    }
  });
  const kept = special.filter((bin) => isTelling(bin, scale));
  const rest = special.filter((bin) => !isTelling(bin, scale)).reduce(sumOf, open);
  const last = merged.pop() ?? { reference: 0, window: 0 };
  return [...merged, sumOf(last, rest), ...kept].filter((bin) => bin.reference + bin.window > 0);
}

/** Many rows where a few were expected; a bin that is empty in the reference needs few. */
function isTelling(bin: Bin, scale: number): boolean {
  return (
    bin.reference * scale >= SMALLEST_EXPECTED || bin.window >= Math.max(SMALLEST_EXPECTED, 4 * bin.reference * scale)
  );
}

function sumOf(a: Bin, b: Bin): Bin {
  return { reference: a.reference + b.reference, window: a.window + b.window };
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Which p-values stay significant when the false discovery rate is held at alpha (Benjamini and Hochberg 1995). */
export function benjaminiHochberg(pValues: readonly number[], alpha: number): boolean[] {
  const order = pValues.map((_, at) => at).sort((a, b) => pValues[a]! - pValues[b]!);
  let last = -1;
  order.forEach((at, rank) => {
    if (pValues[at]! <= (alpha * (rank + 1)) / pValues.length) last = rank;
  });
  const significant = new Array<boolean>(pValues.length).fill(false);
  for (let rank = 0; rank <= last; rank += 1) significant[order[rank]!] = true;
  return significant;
}

export interface WindowedFeature {
  readonly name: string;
  readonly profile: FeatureProfile;
  /** As `countLike…()` of the profile's kind gives them. */
  readonly window: readonly number[];
}

/** Windows below this many rows are not measurable: PSI's distribution has not set in. */
export const SMALLEST_WINDOW = 200;
/** A smaller reference is a guess itself. */
export const SMALLEST_REFERENCE = 1_000;

/**
 * One verdict for each feature: `fail` needs significance over all features together, and an effect of at least `minEffect`. At a
 * million rows everything is significant, at fifty everything is large.
 */
export function judgeDrift(spec: MonitorSpec['drift'], features: readonly WindowedFeature[]): Verdict[] {
  const tests = features.map((feature) =>
    testDrift(referenceCounts(feature.profile), feature.window, ordinaryBins(feature.profile)),
  );
  const significant = benjaminiHochberg(
    tests.map((test) => test.pValue),
    spec.alpha,
  );
  return features.map((feature, at) => driftVerdict(spec, feature, tests[at]!, significant[at]!));
}

function driftVerdict(
  spec: MonitorSpec['drift'],
  feature: WindowedFeature,
  test: DriftTest,
  significant: boolean,
): Verdict {
  const rows = total(feature.window);
  const measurable = rows >= SMALLEST_WINDOW && total(referenceCounts(feature.profile)) >= SMALLEST_REFERENCE;
  const outcome = !measurable ? 'inconclusive' : significant && test.psi >= spec.minEffect ? 'fail' : 'pass';
  return {
    check: `drift:${feature.name}`,
    outcome,
    statistic: { name: 'psi', value: test.psi },
    bound: { name: 'minEffect', value: spec.minEffect },
    counts: { rows, bins: test.bins },
    detail: `PSI ${test.psi.toFixed(4)} over ${test.bins} bins, ${sayPValue(test.pValue)}${significant ? ', significant over all features' : ''}`,
    resolves: measurable
      ? ''
      : `at least ${SMALLEST_WINDOW} rows in the window, and ${SMALLEST_REFERENCE} in the profile`,
  };
}

/** Differences from 1 end at 1e-16, and nobody decides by more than this. */
function sayPValue(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p ${p.toPrecision(2)}`;
}

function ordinaryBins(profile: FeatureProfile): number {
  switch (profile.kind) {
    case 'numeric':
    case 'category':
      return profile.counts.length;
    case 'timestamp':
      return profile.hours.length;
  }
}

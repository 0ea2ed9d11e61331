import type { Verdict } from '../verdict';
import { betaQuantile } from './distributions';

/** How many rows of a window had something wrong with one feature, or with the request. */
export interface DefectCounts {
  /** `missing:distance`, `range:distance`, `category:origin` or `refused`. */
  readonly check: string;
  readonly rows: number;
  readonly defects: number;
  /** Share in the training data. */
  readonly expected: number;
}

/** A share may lie so far above that of the training data. */
export const TOLERATED_SHARE = { missing: 0.05, range: 0.01, category: 0.01, refused: 0.05 } as const;
export const SMALLEST_QUALITY_WINDOW = 50;
const CONFIDENCE = 0.99;

/** `fail`: the share of defects is above what is tolerated, and not by chance (Clopper and Pearson's lower bound, 1934). */
export function judgeDefects(counts: DefectCounts): Verdict {
  const { check, rows, defects, expected } = counts;
  const kind = check.split(':')[0] as keyof typeof TOLERATED_SHARE;
  const limit = Math.min(1, expected + TOLERATED_SHARE[kind]);
  const share = rows > 0 ? defects / rows : null;
  const surely = defects > 0 ? betaQuantile(1 - CONFIDENCE, defects, rows - defects + 1) : 0;
  const measurable = rows >= SMALLEST_QUALITY_WINDOW;
  return {
    check,
    outcome: !measurable ? 'inconclusive' : surely > limit ? 'fail' : 'pass',
    statistic: { name: 'share', value: share },
    bound: { name: 'tolerated share', value: limit },
    counts: { rows, defects },
    detail:
      share === null
        ? 'no rows'
        : `${(share * 100).toFixed(2)} % of ${rows} rows, ${(limit * 100).toFixed(2)} % tolerated`,
    resolves: measurable ? '' : `at least ${SMALLEST_QUALITY_WINDOW} rows in the window`,
  };
}

/** Fewer than this share of the usual rows is a broken feed, not a quiet day. */
export const LEAST_VOLUME = 0.1;
const VOLUMES_NEEDED = 3;

/** `fail`: a window with less than a tenth of the median of earlier windows. No earlier ones: inconclusive unless rows came. */
export function judgeVolume(rows: number, earlier: readonly number[]): Verdict {
  const usual = earlier.length >= VOLUMES_NEEDED ? [...earlier].sort((a, b) => a - b)[earlier.length >> 1]! : null;
  const limit = usual === null ? 1 : LEAST_VOLUME * usual;
  const isLow = rows < limit;
  return {
    check: 'volume',
    outcome: !isLow ? 'pass' : usual === null ? 'inconclusive' : 'fail',
    statistic: { name: 'rows', value: rows },
    bound: { name: 'least rows', value: limit },
    counts: { rows, windows: earlier.length },
    detail: usual === null ? `${rows} rows` : `${rows} rows, usually ${usual}`,
    resolves: isLow && usual === null ? 'traffic' : '',
  };
}

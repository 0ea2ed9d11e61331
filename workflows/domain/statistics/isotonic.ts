/** Rows that have one score. Groups come by ascending score. */
export interface ScoreGroup {
  readonly score: number;
  readonly rows: number;
  /** Of them, with label 1. */
  readonly positives: number;
}

interface Block {
  rows: number;
  positives: number;
  /** Sum of the rows' scores. */
  scoreSum: number;
  readonly least: number;
  most: number;
}

/** A block of fewer rows would say little: its value has a standard deviation of up to 0.07. */
export const LEAST_BLOCK_ROWS = 50;
/** Keeps a signed manifest small; lines between so many points lose less than the rows' own noise. */
export const MAX_KNOTS = 64;

/**
 * Isotonic regression by pooling adjacent violators (Ayer et al. 1955, Annals of Mathematical Statistics 26:641). A block's value is
 * (k + 1/2) / (n + 1), so that no block of one label claims to be certain; its knot is at its mean score.
 */
export function fitIsotonic(groups: readonly ScoreGroup[]): {
  readonly scores: readonly number[];
  readonly probabilities: readonly number[];
} {
  const rising = pool(groups.map(blockOf), (before, after) => isAsHigh(before, after));
  const sized = joinRest(pool(rising, (before) => before.rows < LEAST_BLOCK_ROWS));
  // The prior half pulls small blocks more than large ones, so that neighbours may change places.
  const blocks = pool(limit(sized), (before, after) => valueOf(before) >= valueOf(after));
  return { scores: blocks.map(centreOf), probabilities: blocks.map(valueOf) };
}

function blockOf({ score, rows, positives }: ScoreGroup): Block {
  return { rows, positives, scoreSum: score * rows, least: score, most: score };
}

/** Whole numbers: no rounding decides what is pooled. */
function isAsHigh(before: Block, after: Block): boolean {
  return before.positives * after.rows >= after.positives * before.rows;
}

function valueOf({ positives, rows }: Block): number {
  return (positives + 0.5) / (rows + 1);
}

function centreOf({ scoreSum, rows, least, most }: Block): number {
  return Math.min(most, Math.max(least, scoreSum / rows));
}

function join(before: Block, after: Block): Block {
  return {
    rows: before.rows + after.rows,
    positives: before.positives + after.positives,
    scoreSum: before.scoreSum + after.scoreSum,
    least: before.least,
    most: after.most,
  };
}

/** Joins neighbours until none of them belong together. */
function pool(blocks: readonly Block[], belong: (before: Block, after: Block) => boolean): Block[] {
  const pooled: Block[] = [];
  for (let block of blocks) {
    while (pooled.length > 0 && belong(pooled.at(-1)!, block)) block = join(pooled.pop()!, block);
    pooled.push(block);
  }
  return pooled;
}

/** What is left above the last whole block goes into it. */
function joinRest(blocks: Block[]): Block[] {
  const [before, last] = blocks.slice(-2);
  if (before && last && last.rows < LEAST_BLOCK_ROWS) blocks.splice(-2, 2, join(before, last));
  return blocks;
}

/** Joins the neighbours that this changes least, by squared error, until there are few enough. */
function limit(blocks: Block[]): Block[] {
  while (blocks.length > MAX_KNOTS) {
    let cheapest = 0;
    let least = Infinity;
    for (let at = 0; at + 1 < blocks.length; at += 1) {
      const cost = costOf(blocks[at]!, blocks[at + 1]!);
      if (cost < least) [least, cheapest] = [cost, at];
    }
    blocks.splice(cheapest, 2, join(blocks[cheapest]!, blocks[cheapest + 1]!));
  }
  return blocks;
}

function costOf(before: Block, after: Block): number {
  const gap = after.positives / after.rows - before.positives / before.rows;
  return ((before.rows * after.rows) / (before.rows + after.rows)) * gap ** 2;
}

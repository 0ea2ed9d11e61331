export type Outcome = 'pass' | 'fail' | 'inconclusive';

/** A decision with the number it was made from, and what would settle it when it is open. */
export interface Verdict {
  readonly check: string;
  readonly outcome: Outcome;
  readonly statistic: { readonly name: string; readonly value: number | null };
  readonly bound: { readonly name: string; readonly value: number };
  /** How much was seen: keys, requests, days or labels by name. */
  readonly counts: Readonly<Record<string, number>>;
  /** One sentence for people. */
  readonly detail: string;
  /** What would resolve an inconclusive verdict; empty otherwise. */
  readonly resolves: string;
}

export type GateOutcome = 'pass' | 'fail' | 'not-measurable';

/** One validation rule applied to a candidate. */
export interface GateResult {
  readonly gate: string;
  readonly outcome: GateOutcome;
  readonly value: number | null;
  readonly bound: number | null;
  readonly detail: string;
}

/** A fail beats an inconclusive, which beats a pass; no verdicts at all is inconclusive (no data never means good). */
export function combineOutcomes(outcomes: readonly Outcome[]): Outcome {
  if (outcomes.includes('fail')) return 'fail';
  return outcomes.length > 0 && outcomes.every((outcome) => outcome === 'pass') ? 'pass' : 'inconclusive';
}

/** A gate that cannot be measured does not pass. */
export function gatesPass(results: readonly GateResult[]): boolean {
  return results.length > 0 && results.every((result) => result.outcome === 'pass');
}

import type { InputSignature, ReleaseManifest } from '../../../workflows/domain/release';
import type { OutputTensor } from '../inference/output-tensor';
import type { V2Request } from '../inference/protocol';

/** Outputs of an explained answer; the first three in log-odds for a binary task, in the label's unit for regression. */
export const EXPLANATION_OUTPUTS: readonly string[] = [
  'explanation',
  'explanation_error',
  'explanation_base',
  'reasons',
];

export function isExplanation(output: string): boolean {
  return EXPLANATION_OUTPUTS.includes(output);
}

/** By the release's policy, or because the request names an explanation's output, or has the parameter `explain`. */
export function wantsExplanation(
  { serving }: Pick<ReleaseManifest, 'serving'>,
  { outputs, parameters }: Pick<V2Request, 'outputs' | 'parameters'>,
): boolean {
  const { when } = serving.explain;
  if (when === 'never') return false;
  return when === 'always' || parameters.explain === true || (outputs !== null && outputs.some(isExplanation));
}

/** One explanation of a V1 answer: by feature name. */
export interface RowExplanation {
  readonly base: number;
  readonly reasons: readonly string[];
  readonly contributions: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

export function explanationsByRow(
  outputs: readonly OutputTensor[],
  inputs: readonly Pick<InputSignature, 'name'>[],
  rows: number,
): RowExplanation[] {
  const of = new Map(outputs.map((output) => [output.name, output]));
  const slice = (name: string, row: number): (number | string)[] => {
    const output = of.get(name)!;
    return [...output.data.slice(row * output.width, (row + 1) * output.width)];
  };
  const byFeature = (name: string, row: number): Record<string, number> =>
    Object.fromEntries(slice(name, row).map((value, feature) => [inputs[feature]!.name, value as number]));
  return Array.from({ length: rows }, (_, row) => ({
    base: slice('explanation_base', row)[0] as number,
    reasons: slice('reasons', row) as string[],
    contributions: byFeature('explanation', row),
    errors: byFeature('explanation_error', row),
  }));
}

import {
  countLikeCategories,
  countLikeNumbers,
  countLikeTimestamps,
  type FeatureProfile,
  type Profile,
} from '../../workflows/domain/profile';
import type { InputSignature } from '../../workflows/domain/release';
import type { DefectCounts } from '../../workflows/domain/statistics/data-quality';
import type { WindowedFeature } from '../../workflows/domain/statistics/drift';
import type { Columns } from '../../infra/predictions/reader';

/** A missing INT64 is sent as the smallest one. */
const MISSING_INTEGER = -(2 ** 63);

interface FeatureWindow {
  readonly input: InputSignature;
  readonly profile: FeatureProfile;
  readonly numbers: Float64Array;
  readonly texts: readonly (string | null)[];
}

/** Features that both the profile and the window have, with their values. */
export function featureWindows(inputs: readonly InputSignature[], profile: Profile, columns: Columns): FeatureWindow[] {
  return inputs.flatMap((input) => {
    const reference = profile.features[input.name];
    const column = columns[input.name];
    if (!reference || !column) return [];
    const isText = !(column instanceof Float64Array);
    const numbers = isText
      ? new Float64Array()
      : column.map((value) => (value === MISSING_INTEGER ? Number.NaN : value));
    return [{ input, profile: reference, numbers, texts: isText ? column : [] }];
  });
}

/** Counts in the bins of the training profile. */
export function countWindow({ input, profile, numbers, texts }: FeatureWindow): WindowedFeature {
  switch (profile.kind) {
    case 'numeric':
      return { name: input.name, profile, window: countLikeNumbers(profile, numbers) };
    case 'timestamp':
      return { name: input.name, profile, window: countLikeTimestamps(numbers) };
    case 'category':
      return { name: input.name, profile, window: countLikeCategories(profile, texts) };
  }
}

/** Missing values, values out of the declared range, and values a closed category does not have. */
export function countDefects({ input, profile, numbers, texts }: FeatureWindow): DefectCounts[] {
  const rows = Math.max(numbers.length, texts.length);
  const missing =
    numbers.reduce((sum, value) => sum + (Number.isNaN(value) ? 1 : 0), 0) + texts.filter((text) => !text).length;
  const counts: DefectCounts[] = [
    { check: `missing:${input.name}`, rows, defects: missing, expected: missingShare(profile) },
  ];
  if (input.range) {
    const [low, high] = input.range;
    const outside = numbers.reduce((sum, value) => sum + (value < low || value > high ? 1 : 0), 0);
    counts.push({ check: `range:${input.name}`, rows, defects: outside, expected: 0 });
  }
  if (input.values && profile.kind === 'category') {
    const allowed = new Set(input.values);
    const unknown = texts.filter((text) => text && !allowed.has(text)).length;
    counts.push({ check: `category:${input.name}`, rows, defects: unknown, expected: 0 });
  }
  return counts;
}

function missingShare(profile: FeatureProfile): number {
  const known = profile.kind === 'timestamp' ? profile.hours : profile.counts;
  const others =
    profile.kind === 'numeric' ? profile.below + profile.above : profile.kind === 'category' ? profile.other : 0;
  const rows = known.reduce((sum, count) => sum + count, profile.missing + others);
  return rows > 0 ? profile.missing / rows : 0;
}

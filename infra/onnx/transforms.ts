import type { InputSignature } from '../../workflows/domain/release';
import type { DatePart } from '../../workflows/domain/spec';
import { PART_SIZES, datePartOf } from './date-parts';
import { columnOf, MISSING_INT64 } from './feature-table';
import type { FeatureTable } from './feature-table';

/** Words seen less often share the slot of unknown ones, which so learns what rare categories are like. */
const MIN_WORD_ROWS = 5;
/** The most frequent words are kept; what an embedding or weight per word can be learned for. */
const MAX_WORDS = 20_000;

/** Slot 0 of a group is "unknown or missing"; `counts` are training rows by slot. `offset` is the group's first row in the table. */
export interface SlotGroup {
  readonly offset: number;
  readonly counts: readonly number[];
}

/** What is done to one input inside the served graph, fitted on the training split alone. */
export type FeatureTransform =
  | {
      readonly kind: 'scale';
      readonly input: InputSignature;
      readonly mean: number;
      readonly deviation: number;
      readonly indicator: boolean;
    }
  | { readonly kind: 'boolean'; readonly input: InputSignature }
  | {
      readonly kind: 'vocabulary';
      readonly input: InputSignature;
      readonly words: readonly string[];
      readonly slots: SlotGroup;
    }
  | {
      readonly kind: 'date';
      readonly input: InputSignature;
      readonly parts: readonly DatePartTransform[];
      readonly indicator: boolean;
    };

export interface DatePartTransform {
  readonly part: DatePart;
  /** Number of sine and cosine pairs among the dense columns. */
  readonly harmonics: number;
  /** Slot of each value of the part, 0 for values that training never saw; null where the part has no slots. */
  readonly slotOf: readonly number[] | null;
  readonly slots: SlotGroup | null;
}

export interface TransformPlan {
  readonly features: readonly FeatureTransform[];
  readonly groups: readonly SlotGroup[];
  readonly tableRows: number;
}

export interface FitOptions {
  /** Smooth hours beside one slot per hour; of use to hidden layers only. */
  readonly cyclicHours: boolean;
}

/** Fits all transforms on training rows; equal rows give an equal plan. */
export function fitTransforms(
  inputs: readonly InputSignature[],
  table: FeatureTable,
  options: FitOptions,
): TransformPlan {
  const groups: SlotGroup[] = [];
  let tableRows = 0;
  const group = (counts: readonly number[]): SlotGroup => {
    const made = { offset: tableRows, counts };
    groups.push(made);
    tableRows += counts.length;
    return made;
  };
  const features = inputs.map((input) => fitFeature(input, table, options, group));
  return { features, groups, tableRows };
}

type GroupMaker = (counts: readonly number[]) => SlotGroup;

function fitFeature(
  input: InputSignature,
  table: FeatureTable,
  options: FitOptions,
  group: GroupMaker,
): FeatureTransform {
  const column = columnOf(table, input.name);
  const indicator = input.nullable || input.onInvalid !== 'reject';
  switch (input.type) {
    case 'number':
      return { kind: 'scale', input, indicator, ...moments(column as Float32Array) };
    case 'integer':
      return { kind: 'scale', input, indicator, ...moments(numbersOf(column as BigInt64Array)) };
    case 'boolean':
      return { kind: 'boolean', input };
    case 'category':
      return fitVocabulary(input, column as readonly string[], group);
    case 'timestamp':
      return {
        kind: 'date',
        input,
        indicator,
        parts: input.parts.map((part) => fitDatePart(part, column as BigInt64Array, options, group)),
      };
  }
}

/** Mean and standard deviation of the values that are there; 0 and 1 where there is nothing to scale by. */
function moments(values: Float32Array | Float64Array): { mean: number; deviation: number } {
  let count = 0;
  let mean = 0;
  let squares = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    count += 1; // Welford 1962: stable in one pass.
    const difference = value - mean;
    mean += difference / count;
    squares += difference * (value - mean);
  }
  const deviation = Math.sqrt(squares / Math.max(count, 1));
  return { mean, deviation: deviation > 0 ? deviation : 1 };
}

function numbersOf(values: BigInt64Array): Float64Array {
  return Float64Array.from(values, (value) => (value === MISSING_INT64 ? Number.NaN : Number(value)));
}

function fitVocabulary(input: InputSignature, column: readonly string[], group: GroupMaker): FeatureTransform {
  const rows = new Map<string, number>();
  for (const word of column) rows.set(word, (rows.get(word) ?? 0) + 1);
  const frequent = [...rows]
    .filter(([, count]) => count >= MIN_WORD_ROWS)
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const kept = frequent.slice(0, MAX_WORDS).sort(([a], [b]) => (a < b ? -1 : 1));
  const known = kept.reduce((sum, [, count]) => sum + count, 0);
  const counts = [column.length - known, ...kept.map(([, count]) => count)];
  return { kind: 'vocabulary', input, words: kept.map(([word]) => word), slots: group(counts) };
}

function fitDatePart(part: DatePart, column: BigInt64Array, options: FitOptions, group: GroupMaker): DatePartTransform {
  const harmonics = part === 'minuteOfDay' ? 2 : part === 'hour' && options.cyclicHours ? 1 : 0;
  if (part === 'minuteOfDay') return { part, harmonics, slotOf: null, slots: null };
  const seen = new Array<number>(PART_SIZES[part]).fill(0);
  let missing = 0;
  for (const value of column) {
    if (value === MISSING_INT64) missing += 1;
    else seen[datePartOf(Number(value), part)]! += 1;
  }
  let next = 0;
  const slotOf = seen.map((count) => (count > 0 ? (next += 1) : 0));
  return { part, harmonics, slotOf, slots: group([missing, ...seen.filter((count) => count > 0)]) };
}

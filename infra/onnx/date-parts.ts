import type { DatePart } from '../../workflows/domain/spec';
import type { GraphBuilder } from './graph-builder';
import { int64Tensor } from './graph-builder';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** How many values a part has; it counts from 0: hour 0-23, dayOfWeek Monday = 0, month January = 0, minuteOfDay 0-1439. */
export const PART_SIZES: Readonly<Record<DatePart, number>> = { hour: 24, dayOfWeek: 7, month: 12, minuteOfDay: 1440 };

/** A part of an instant in epoch ms, in the clock that the ms were counted in (UTC, or naive local time as declared). */
export function datePartOf(epochMs: number, part: DatePart): number {
  const date = new Date(epochMs);
  switch (part) {
    case 'hour':
      return date.getUTCHours();
    case 'dayOfWeek':
      return (date.getUTCDay() + 6) % 7;
    case 'month':
      return date.getUTCMonth();
    case 'minuteOfDay':
      return date.getUTCHours() * 60 + date.getUTCMinutes();
  }
}

/** The same in the graph: INT64 [n, 1] epoch ms (none missing) to INT64 [n, 1], right for instants before 1970 as well. */
export function addDatePart(builder: GraphBuilder, epochMs: string, part: DatePart): string {
  const { mod, div, add } = integerOps(builder);
  switch (part) {
    case 'hour':
      return div(mod(epochMs, DAY_MS), HOUR_MS);
    case 'minuteOfDay':
      return div(mod(epochMs, DAY_MS), MINUTE_MS);
    case 'dayOfWeek':
      return mod(add(dayNumber(builder, epochMs), 3), 7); // 1970-01-01 was a Thursday.
    case 'month':
      return addMonth(builder, dayNumber(builder, epochMs));
  }
}

/** Days since 1970-01-01, rounded down: ONNX's Mod has the sign of the divisor, so the difference divides exactly. */
function dayNumber(builder: GraphBuilder, epochMs: string): string {
  const { mod, div } = integerOps(builder);
  return div(builder.op('Sub', [epochMs, mod(epochMs, DAY_MS)]), DAY_MS);
}

/** Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years there begin in March. */
function addMonth(builder: GraphBuilder, days: string): string {
  const { mod, div, add, times } = integerOps(builder);
  const sum = (first: string, ...rest: string[]): string =>
    rest.reduce((total, term) => builder.op('Add', [total, term]), first);
  const dayOfEra = mod(add(days, 719_468), 146_097);
  const leap = sum(dayOfEra, times(div(dayOfEra, 1_460), -1), div(dayOfEra, 36_524), times(div(dayOfEra, 146_096), -1));
  const yearOfEra = div(leap, 365);
  const yearDays = sum(times(yearOfEra, 365), div(yearOfEra, 4), times(div(yearOfEra, 100), -1));
  const dayOfYear = builder.op('Sub', [dayOfEra, yearDays]);
  const marchMonth = div(add(times(dayOfYear, 5), 2), 153);
  return mod(add(marchMonth, 2), 12);
}

function integerOps(
  builder: GraphBuilder,
): Record<'mod' | 'div' | 'add' | 'times', (value: string, by: number) => string> {
  const binary = (type: string) => (value: string, by: number) =>
    builder.op(type, [value, builder.constant(int64Tensor([by], []))]);
  return { mod: binary('Mod'), div: binary('Div'), add: binary('Add'), times: binary('Mul') };
}

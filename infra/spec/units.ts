const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
type DurationUnit = keyof typeof UNIT_MS;

export const DURATION_PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/;
export const PERCENT_PATTERN = /^(\d+(?:\.\d+)?) ?%$/;
export const SIZE_PATTERN = /^(\d+)(MB|GB)$/;

/** `30s`, `15m`, `6h`, `14d`, `2w` as milliseconds; undefined for any other text. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION_PATTERN.exec(text);
  return match ? Math.round(Number(match[1]) * UNIT_MS[match[2] as DurationUnit]) : undefined;
}

/** The largest unit that divides the duration: 1209600000 is `14d`. */
export function formatDuration(durationMs: number): string {
  const units: readonly DurationUnit[] = ['d', 'h', 'm', 's'];
  const unit =
    units.find((candidate) => durationMs !== 0 && durationMs % UNIT_MS[candidate] === 0) ??
    (durationMs === 0 ? 's' : 'ms');
  return `${durationMs / UNIT_MS[unit]}${unit}`;
}

/** A fraction as itself, `10%` as 0.1. */
export function parseFraction(value: number | string): number {
  if (typeof value === 'number') return value;
  const match = PERCENT_PATTERN.exec(value);
  return match ? Number(match[1]) / 100 : Number.NaN;
}

/** At most two decimals: 0.125 is `12.5 %`. */
export function formatPercent(fraction: number): string {
  return `${Number((fraction * 100).toFixed(2))} %`;
}

/** `2GB` as 2048; megabytes of 2^20 bytes. */
export function parseSizeMb(text: string): number {
  const match = SIZE_PATTERN.exec(text);
  return match ? Number(match[1]) * (match[2] === 'GB' ? 1_024 : 1) : Number.NaN;
}

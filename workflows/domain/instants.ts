/** An instant as people read it: `2001-03-25` at midnight UTC, else `2026-11-24 00:43 UTC`. Takes RFC 3339 in UTC; other text stays as it is. */
export function sayInstant(instant: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?Z$/.exec(instant);
  if (!match) return instant;
  const [, day, time] = match;
  return /T00:00(:00(\.0+)?)?Z$/.test(instant) ? day! : `${day} ${time} UTC`;
}

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const;

/** A duration in its largest whole unit: `3 days`, `90 minutes`, `1 hour`. */
export function sayDuration(durationMs: number): string {
  const [name, unitMs] = UNITS.find(([, size]) => durationMs >= size && durationMs % size === 0) ?? ['ms', 1];
  const count = durationMs / unitMs;
  return `${count} ${name}${count === 1 || name === 'ms' ? '' : 's'}`;
}

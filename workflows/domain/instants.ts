/** An instant as people read it: `2001-03-25` at midnight UTC, else `2026-11-24 00:43 UTC`. Takes RFC 3339 in UTC; other text stays as it is. */
export function sayInstant(instant: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?Z$/.exec(instant);
  if (!match) return instant;
  const [, day, time] = match;
  return /T00:00(:00(\.0+)?)?Z$/.test(instant) ? day! : `${day} ${time} UTC`;
}

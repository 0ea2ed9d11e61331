/** As-of of a run that names none (RFC 3339): a start that is repeated on the same day joins. */
export function startOfTodayUtc(): string {
  return `${new Date().toISOString().slice(0, 10)}T00:00:00.000Z`;
}

import { type ObservationDocument, WINDOW_MS } from './observation';

/** So many requests at least lie at and before the beginning of what was seen, and as many at and after its end. */
export const FEW_REQUESTS = 10;
/** An hour with less than this share of the traffic of the usual hour is one of strays. */
const LEAST_SHARE = 0.05;
const HOUR_MS = 3_600_000;

/** The time that traffic covers, in the route's clock, epoch ms. */
export interface EventSpan {
  readonly firstMs: number;
  readonly untilMs: number;
}

interface Row {
  readonly startMs: number;
  readonly endMs: number;
  readonly requests: number;
}

/**
 * From where to where requests have come; null for fewer than FEW_REQUESTS. Callers send event times late and early, up to a day
 * either way, and no few of them may say that a step has lasted a day: hours with a small share of the usual hour's traffic do not
 * count, nor do the first and the last FEW_REQUESTS - 1 of the rest. Exact to one window of the documents.
 */
export function eventSpan(documents: readonly ObservationDocument[]): EventSpan | null {
  const rows = usualRows(
    documents.flatMap(({ windows, windowMs = WINDOW_MS }) =>
      windows.map(({ startMs, requests }) => ({ startMs, endMs: startMs + windowMs, requests })),
    ),
  );
  const first = reached([...rows].sort((a, b) => a.startMs - b.startMs));
  const last = reached([...rows].sort((a, b) => b.endMs - a.endMs));
  if (first === null || last === null) return null;
  const latestMs = Math.max(...documents.map(({ watermarkMs }) => watermarkMs ?? -Infinity));
  return { firstMs: first.startMs, untilMs: Math.min(last.endMs, latestMs) };
}

/** Windows longer than an hour are taken for hours. */
function usualRows(rows: readonly Row[]): readonly Row[] {
  const hourMs = Math.max(HOUR_MS, ...rows.map(({ startMs, endMs }) => endMs - startMs));
  const hourOf = ({ startMs }: Row): number => Math.floor(startMs / hourMs);
  const hours = new Map<number, number>();
  for (const row of rows) hours.set(hourOf(row), (hours.get(hourOf(row)) ?? 0) + row.requests);
  const least = LEAST_SHARE * usualTraffic([...hours.values()]);
  return rows.filter((row) => hours.get(hourOf(row))! >= least);
}

/** Requests in the hour of the median request: many hours of strays do not make it smaller, as they do the median hour. */
function usualTraffic(hours: readonly number[]): number {
  const half = hours.reduce((sum, requests) => sum + requests, 0) / 2;
  let seen = 0;
  for (const requests of [...hours].sort((a, b) => a - b)) {
    seen += requests;
    if (seen >= half) return requests;
  }
  return 0;
}

function reached(rows: readonly Row[]): Row | null {
  let seen = 0;
  for (const row of rows) {
    seen += row.requests;
    if (seen >= FEW_REQUESTS) return row;
  }
  return null;
}

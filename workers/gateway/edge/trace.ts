const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** What came as `traceparent`, for later: most requests never need to have it read. */
export type TraceParent = string | readonly string[] | undefined;

/**
 * The trace that a request belongs to, 32 hex digits (W3C Trace Context, Recommendation of 2021, section 3.2). Null where there is no
 * valid context: then nobody's trace would find it.
 */
export function traceIdOf(parent: TraceParent): string | null {
  if (typeof parent !== 'string') return null;
  const match = TRACEPARENT.exec(parent);
  if (!match) return null;
  const [, version, traceId, parentId, , rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  return /^0+$/.test(traceId!) || /^0+$/.test(parentId!) ? null : traceId!;
}

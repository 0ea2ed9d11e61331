import { randomBytes } from 'node:crypto';

/** W3C Trace Context (Recommendation, 2021), section 3.2. */
export interface TraceContext {
  /** 32 hex digits, not all 0. */
  readonly traceId: string;
  /** Of the caller's span: 16 hex digits, not all 0. */
  readonly parentId: string;
  readonly flags: string;
  /** Vendors' part, passed on as it came; null where there is none. */
  readonly state: string | null;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** Longer ones need not be passed on (section 3.3.1.5). */
const MAX_STATE = 512;

/** Null where there is no valid context: then the trace begins elsewhere, as section 3.2.2.4 says. */
export function readTrace(
  parent: string | readonly string[] | undefined,
  state: string | readonly string[] | undefined,
): TraceContext | null {
  if (typeof parent !== 'string') return null;
  const match = TRACEPARENT.exec(parent);
  if (!match) return null;
  const [, version, traceId, parentId, flags, rest] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string?,
  ];
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return null;
  const given = typeof state === 'string' ? state : state?.join(',');
  return { traceId, parentId, flags, state: given !== undefined && given.length <= MAX_STATE ? given : null };
}

/** Headers for a call that this request makes: the same trace, a span of our own. */
export function traceHeaders(trace: TraceContext): Record<string, string> {
  const traceparent = `00-${trace.traceId}-${randomBytes(8).toString('hex')}-${trace.flags}`;
  return trace.state === null ? { traceparent } : { traceparent, tracestate: trace.state };
}

import type { NamespaceNotFoundError, WorkflowNotFoundError } from '@temporalio/common';
import { type ErrorCode, ERRORS, isErrorCode, SlipwayError } from '../../workflows/domain/errors';

/** An error as the CLI shows it. */
export interface ShownError {
  readonly code: ErrorCode;
  readonly message: string;
  /** What to type or do next. */
  readonly advice: string;
  readonly exit: number;
}

/** gRPC codes UNAVAILABLE, DEADLINE_EXCEEDED and CANCELLED by our own deadline. */
const UNREACHABLE = new Set([14, 4, 1]);

/**
 * Finds the catalogue code in what was thrown: ours, Temporal's failures (whose type is a code), or the connection's, which is told with
 * `temporalAddress` where that is known.
 */
export function describeError(error: unknown, temporalAddress?: string): ShownError {
  const { code, message } = classify(error, temporalAddress);
  const advice = error instanceof SlipwayError ? error.advice : ERRORS[code].advice;
  return { code, message, advice, exit: ERRORS[code].exit };
}

function classify(error: unknown, temporalAddress: string | undefined): { code: ErrorCode; message: string } {
  if (error instanceof SlipwayError) return { code: error.code, message: error.message };
  if (isNamed<WorkflowNotFoundError>(error, 'WorkflowNotFoundError'))
    return { code: 'NOT_FOUND', message: `no workflow ${error.workflowId}` };
  const namespace = findNamespace(error);
  if (namespace !== undefined)
    return {
      code: 'CONFIG_INVALID',
      message: `Temporal has no namespace ${namespace}: it is another server, or \`slipway up\` never made the workspace there (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, SLIPWAY_WORKSPACE)`,
    };
  const unreachable = findUnreachable(error);
  if (unreachable !== undefined)
    return { code: 'TEMPORAL_UNAVAILABLE', message: sayUnreachable(unreachable, temporalAddress) };
  const failure = findCoded(error);
  if (failure) return failure;
  return { code: 'INTERNAL', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** By name: loading Temporal's classes would take longer than most commands. */
function isNamed<T extends Error>(error: unknown, name: string): error is T {
  return error instanceof Error && error.name === name;
}

function findNamespace(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return isNamed<NamespaceNotFoundError>(error, 'NamespaceNotFoundError')
    ? error.namespace
    : findNamespace(error.cause);
}

/** What the connection to Temporal said, below the client's own errors. */
function findUnreachable(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, details } = error as { code?: unknown; details?: unknown };
  if (typeof details === 'string' && UNREACHABLE.has(Number(code))) return details || error.message;
  return findUnreachable(error.cause);
}

/** The client's own text for a connection that was never made is several sentences, the last of them empty. */
function sayUnreachable(details: string, address: string | undefined): string {
  const at = address === undefined ? '' : ` at ${address}`;
  if (/no connection established|ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|name resolution failed/i.test(details))
    return `no Temporal server answers${at}`;
  return `the Temporal server${at} does not answer: ${details.split('\n')[0]!.trim()}`;
}

/** Failures come wrapped (WorkflowFailedError, ActivityFailure, ApplicationFailure): the innermost code says most. */
function findCoded(error: unknown): { code: ErrorCode; message: string } | undefined {
  if (!(error instanceof Error)) return undefined;
  const inner = findCoded(error.cause);
  if (inner) return inner;
  const type = (error as { type?: unknown }).type;
  return typeof type === 'string' && isErrorCode(type) ? { code: type, message: error.message } : undefined;
}

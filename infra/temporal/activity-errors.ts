import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { ApplicationFailure, CancelledFailure, TemporalFailure } from '@temporalio/common';
import { CompleteAsyncError } from '@temporalio/activity';
import { SlipwayError } from '../../workflows/domain/errors';
import { ChildEndedError } from '../process/child-end';
import type { Logger } from '../telemetry/log';

/**
 * Gives every failed activity its catalogue code: a SlipwayError becomes an ApplicationFailure whose type is the code, and which is
 * retried only where the catalogue says so. Logged once here, with the code, so that activities do not log and throw.
 */
export function activityErrors(logger: Logger): ActivityInterceptorsFactory {
  return (context) => ({
    inbound: {
      async execute(input, next) {
        try {
          return await next(input);
        } catch (error) {
          if (isControlFlow(error)) throw error;
          const failure = toFailure(error);
          const { activityType, attempt, workflowExecution } = context.info;
          logger.warn(
            {
              activity: activityType,
              attempt,
              workflow: workflowExecution?.workflowId,
              code: failure.type,
              retried: failure.nonRetryable !== true,
              err: error,
            },
            'activity failed',
          );
          throw failure;
        }
      },
    },
  });
}

/**
 * One rule for INTERNAL: the failure's own mark decides, never its type. Thrown on purpose (a SlipwayError) it is a contradiction that stays
 * one, and ends the run. An error that nobody foresaw becomes INTERNAL and is tried again: it may pass, and a later build may mend it.
 *
 * A failure stays in the workflow's history, so it says what Slipway's own code says and nothing else (invariant I10): the text of a
 * foreign error may quote a row, as JSON.parse and BigInt do. The worker's log has it, and the causes.
 */
export function toFailure(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  if (error instanceof SlipwayError)
    return ApplicationFailure.create({
      type: error.code,
      message: error.message,
      nonRetryable: !error.kind.retryable,
    });
  const message = error instanceof ChildEndedError ? error.message : describeUnforeseen(error);
  return ApplicationFailure.create({ type: 'INTERNAL', message });
}

/** `TypeError at infra/onnx/session.ts:14:9`. Errors of the system name calls, paths and hosts only, and are shown whole. */
function describeUnforeseen(error: unknown): string {
  if (typeof error !== 'object' || error === null) return `a thrown ${typeof error}; the worker's log has its text`;
  const { name, message, stack, code, syscall } = error as Readonly<Record<string, unknown>>;
  if (typeof syscall === 'string' && typeof message === 'string') return message;
  const words = [name, code].filter((word) => typeof word === 'string' || typeof word === 'number');
  const kind = words.filter((word) => /^\w{1,64}$/.test(String(word))).join(' ') || 'Error';
  const place = OWN_FRAME.exec(typeof stack === 'string' ? stack : '');
  return `${kind}${place ? ` at ${place[1]}` : ''}; the worker's log has its text`;
}

/** A stack frame in our own code, from its folder on. */
const OWN_FRAME =
  /^ {4}at (?!.*node_modules).*?\b((?:activities|client|infra|workers|workflows)\/[\w./-]+:\d+:\d+)\)?$/m;

/** Cancellation and the like are answers, not failures. */
function isControlFlow(error: unknown): boolean {
  return (
    error instanceof CancelledFailure ||
    error instanceof CompleteAsyncError ||
    (error instanceof TemporalFailure && !(error instanceof ApplicationFailure))
  );
}

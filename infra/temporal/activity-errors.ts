import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { ApplicationFailure, CancelledFailure, TemporalFailure } from '@temporalio/common';
import { CompleteAsyncError } from '@temporalio/activity';
import { SlipwayError } from '../../workflows/domain/errors';
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
 */
export function toFailure(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  if (error instanceof SlipwayError) {
    return ApplicationFailure.create({
      type: error.code,
      message: error.message,
      nonRetryable: !error.kind.retryable,
      ...asCause(error.cause),
    });
  }
  return ApplicationFailure.create({
    type: 'INTERNAL',
    message: error instanceof Error ? error.message : String(error),
    ...asCause(error),
  });
}

/** Cancellation and the like are answers, not failures. */
function isControlFlow(error: unknown): boolean {
  return (
    error instanceof CancelledFailure ||
    error instanceof CompleteAsyncError ||
    (error instanceof TemporalFailure && !(error instanceof ApplicationFailure))
  );
}

function asCause(cause: unknown): { cause?: Error } {
  return cause instanceof Error ? { cause } : {};
}

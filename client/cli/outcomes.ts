import { ERRORS } from '../../workflows/domain/errors';
import type { RunOutcome, RunResult } from '../../workflows/domain/run';

/** Exit code of a finished run: what CI branches on. A failed or refused run has the exit code of its error code. */
export function exitOfRun(result: RunResult): number {
  switch (result.outcome) {
    case 'promoted':
      return 0;
    case 'gates-failed':
      return ERRORS.GATES_FAILED.exit;
    case 'rolled-back':
    case 'inconclusive':
      return ERRORS.ROLLOUT_FAILED.exit;
    case 'rejected':
    case 'expired':
      return ERRORS.RELEASE_UNAPPROVED.exit;
    case 'cancelled':
      return ERRORS.COMMAND_REFUSED.exit;
    case 'refused':
      return ERRORS[result.code ?? 'COMMAND_REFUSED'].exit;
    case 'failed':
      return ERRORS[result.code ?? 'INTERNAL'].exit;
  }
}

/** What started a run, and so what starts its next attempt. */
export const STARTED_BY = { run: 'slipway run <spec>', import: 'slipway release import … --spec <spec>' } as const;

/** What to type after a run that ended so. */
export function nextAfter(result: RunResult, startedBy: keyof typeof STARTED_BY): string {
  const again = STARTED_BY[startedBy];
  const next: Record<RunOutcome, string> = {
    promoted: `slipway history ${result.model}`,
    'gates-failed': `slipway status ${result.model} --run ${result.run}`,
    'rolled-back': `slipway history ${result.model}`,
    inconclusive: `slipway history ${result.model}`,
    rejected: `slipway audit list ${result.model}`,
    expired: `${again} --retry${startedBy === 'run' ? ' --from evaluate' : ''}`,
    cancelled: `${again} --retry`,
    refused: `slipway audit list ${result.model}`,
    failed: `${again} --retry`,
  };
  return next[result.outcome];
}

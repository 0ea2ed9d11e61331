import type { ModelName } from '../../workflows/domain/names';
import type { RunResult } from '../../workflows/domain/run';
import type { SlipwayClient } from '../slipway-client';
import { describeError } from './errors';
import { drawDecision } from './run-picture';

const POLL_MS = 1000;
/** A run was started and its workflow is not seen yet, or Temporal is away for a while: CI waits on. */
const PATIENCE_MS = 10 * 60_000;

/** Tells each new line of the run's story, what a wait for approval waits for, and returns its result. Bridges a Temporal that is away for up to ten minutes. */
export async function followRun(
  client: SlipwayClient,
  model: ModelName,
  run: string,
  tell: (line: string) => void,
): Promise<RunResult> {
  const ended = waitPatiently(client, model, run, tell);
  let done = false;
  const result = ended.finally(() => (done = true));
  let toldUntil = '';
  let saidWhoDecides = false;
  while (!done) {
    await Promise.race([result.catch(() => undefined), pause(POLL_MS)]);
    const status = await client.runStatus(model, run).catch(() => null);
    for (const { at, text } of status?.story ?? []) {
      const line = `${at} ${text}`;
      if (line <= toldUntil) continue;
      tell(line);
      toldUntil = line;
    }
    if (!saidWhoDecides && status?.stage === 'awaiting-approval' && status.approvalsRequired > 0) {
      drawDecision(status, Date.now()).forEach(tell);
      saidWhoDecides = true;
    }
  }
  return result;
}

async function waitPatiently(
  client: SlipwayClient,
  model: ModelName,
  run: string,
  tell: (line: string) => void,
): Promise<RunResult> {
  let awaySinceMs: number | null = null;
  for (;;) {
    try {
      return await client.waitForRun(model, run);
    } catch (error) {
      if (describeError(error).code !== 'TEMPORAL_UNAVAILABLE') throw error;
      awaySinceMs ??= Date.now();
      if (Date.now() - awaySinceMs > PATIENCE_MS) throw error;
      tell('Temporal does not answer; waiting for it');
      await pause(POLL_MS * 5);
    }
  }
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

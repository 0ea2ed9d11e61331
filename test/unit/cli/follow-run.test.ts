import { followRun } from '../../../client/cli/follow-run';
import type { SlipwayClient } from '../../../client/slipway-client';
import type { RunResult } from '../../../workflows/domain/run';
import type { LifecycleStatus } from '../../../workflows/lifecycle.messages';

const waiting: LifecycleStatus = {
  model: 'flights/late',
  run: 'r-0123456789-1',
  stage: 'awaiting-approval',
  detail: 'Release 2 waits for 1 approval.',
  release: null,
  evidence: null,
  gates: [{ gate: 'compatible', outcome: 'pass', value: 0, bound: 0, detail: 'Callers can go on.' }],
  approvals: [],
  approvalsRequired: 1,
  approvalDeadline: null,
  story: [{ at: '2024-01-01T00:00:00.000Z', text: 'Release 2 waits for 1 approval.' }],
};

describe('following a run without a terminal', () => {
  it('tells once what a wait for approval is about, and what to type', async () => {
    const result = { model: 'flights/late', run: waiting.run, outcome: 'promoted' } as RunResult;
    let end: (result: RunResult) => void = () => undefined;
    const ended = new Promise<RunResult>((resolve) => (end = resolve));
    let looks = 0;
    const client = {
      waitForRun: () => ended,
      runStatus: () => {
        looks += 1;
        // Ends by what was looked at, not by time.
        if (looks === 3) end(result);
        return Promise.resolve(waiting);
      },
    } as unknown as SlipwayClient;
    const told: string[] = [];
    expect(await followRun(client, 'flights/late', waiting.run, (line) => told.push(line))).toBe(result);
    expect(told).toEqual([
      '2024-01-01T00:00:00.000Z Release 2 waits for 1 approval.',
      '',
      'gates',
      '  pass           compatible: Callers can go on.',
      '',
      'approvals',
      '  0 of 1 approval; no deadline',
      '  next: slipway approve flights/late --run r-0123456789-1 --key <key>',
    ]);
  });
});

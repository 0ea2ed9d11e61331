import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { describeError } from '../../../client/cli/errors';
import { exitOfRun, nextAfter } from '../../../client/cli/outcomes';
import { formatNumber, formatTable } from '../../../client/cli/output';
import { buildProgram } from '../../../client/cli/program';
import { drawDecision, drawRun } from '../../../client/cli/run-picture';
import { ApplicationFailure, NamespaceNotFoundError } from '@temporalio/common';
import { RUN_OUTCOMES, type RunResult } from '../../../workflows/domain/run';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { DeploymentStatus } from '../../../workflows/deployment.messages';
import type { LifecycleStatus } from '../../../workflows/lifecycle.messages';

const leaves = (command: Command, path: string): [string, Command][] =>
  command.commands.length === 0
    ? [[path, command]]
    : command.commands.flatMap((child) => leaves(child, `${path} ${child.name()}`));

describe('the commands', () => {
  const commands = leaves(buildProgram(), 'slipway');

  it('are those of docs/cli.md, both ways', () => {
    const text = readFileSync(resolve(__dirname, '../../../docs/cli.md'), 'utf8');
    const names = commands.map(([path]) => path);
    const documented = [...text.matchAll(/`(slipway [a-z][^`]*)`/g)].map((match) => match[1]!);
    const without = names.filter((name) => !documented.some((line) => line === name || line.startsWith(`${name} `)));
    const unknown = documented.filter((line) => !names.some((name) => line === name || line.startsWith(`${name} `)));
    expect({ without, unknown }).toEqual({ without: [], unknown: [] });
  });

  it.each(commands)('%s shows an example in its help', (path, command) => {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
    expect(help).toContain('Example');
    expect(help).toContain(`$ ${path}`);
  });
});

describe('the exit code of a run', () => {
  const result = (outcome: RunResult['outcome'], code?: RunResult['code']): RunResult => ({
    model: 'a/b',
    run: 'r-1',
    outcome,
    detail: '',
    version: null,
    ...(code ? { code } : {}),
  });

  it('is 0 for a promotion only', () => {
    expect(RUN_OUTCOMES.filter((outcome) => exitOfRun(result(outcome)) === 0)).toEqual(['promoted']);
  });

  it('tells decisions against the release from refusals and from what failed', () => {
    expect(
      ['gates-failed', 'rolled-back', 'inconclusive'].map((outcome) =>
        exitOfRun(result(outcome as RunResult['outcome'])),
      ),
    ).toEqual([5, 5, 5]);
    expect(exitOfRun(result('rejected'))).toBe(4);
    expect(exitOfRun(result('failed', 'DATA_LABEL'))).toBe(3);
    expect(exitOfRun(result('refused', 'ROLE_MISSING'))).toBe(4);
    expect(exitOfRun(result('failed'))).toBe(70);
  });
});

describe('what to type after a run', () => {
  it('is what began it, where it is to be tried again', () => {
    const failed = { model: 'a/b', run: 'r', outcome: 'failed', detail: '', version: null } as const;
    expect([nextAfter(failed, 'run'), nextAfter(failed, 'import')]).toEqual([
      'slipway run <spec> --retry',
      'slipway release import … --spec <spec> --retry',
    ]);
    const expired = { ...failed, outcome: 'expired' } as const;
    expect(nextAfter(expired, 'run')).toBe('slipway run <spec> --retry --from evaluate');
  });
});

describe('an error', () => {
  it('has the code that is deepest inside Temporal’s wrapping', () => {
    const inner = ApplicationFailure.create({ type: 'DATA_LABEL', message: 'the label is constant' });
    const outer = ApplicationFailure.create({ type: 'SomethingElse', message: 'Activity task failed', cause: inner });
    expect(describeError(outer)).toMatchObject({ code: 'DATA_LABEL', message: 'the label is constant', exit: 3 });
  });

  it('of ours is shown with what to do next', () => {
    expect(describeError(new SlipwayError('KEY_UNKNOWN', 'no such key'))).toEqual({
      code: 'KEY_UNKNOWN',
      message: 'no such key',
      advice: 'Use a key that the workspace trusts; `slipway keys list` shows them.',
      exit: 4,
    });
  });

  it('can say better than its code what to do next', () => {
    const error = new SlipwayError('NOT_FOUND', 'there is no file x', { advice: 'Check the path.' });
    expect(describeError(error)).toMatchObject({ advice: 'Check the path.', exit: 7 });
  });

  it.each([
    [
      'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:7233. Resolution note: ',
      'no Temporal server answers at 127.0.0.1:7233',
    ],
    ['Deadline exceeded', 'the Temporal server at 127.0.0.1:7233 does not answer: Deadline exceeded'],
  ])('of a connection that said "%s" is one sentence with the address', (details, message) => {
    const error = new Error('query failed', { cause: Object.assign(new Error('14'), { code: 14, details }) });
    expect(describeError(error, '127.0.0.1:7233')).toMatchObject({ code: 'TEMPORAL_UNAVAILABLE', message, exit: 6 });
  });

  it('of a Temporal server without our namespace says which setting names another', () => {
    const error = new Error('query failed', { cause: new NamespaceNotFoundError('slipway-dev') });
    expect(describeError(error)).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/no namespace slipway-dev.*TEMPORAL_ADDRESS/) as string,
    });
  });

  it('that nobody foresaw is a defect', () => {
    expect(describeError(new TypeError('x is not a function'))).toMatchObject({ code: 'INTERNAL', exit: 70 });
  });
});

describe('a table', () => {
  it('is as wide as its cells, and no cell can move the cursor', () => {
    expect(
      formatTable(
        ['A', 'LONG'],
        [
          ['one', 'x'],
          ['b\u001b[2J\nc', 'y'],
        ],
      ),
    ).toEqual(['A        LONG', '-------  ----', 'one      x', 'b [2J c  y']);
  });

  it('shows numbers with four digits and a dash for none', () => {
    expect([0.123456, 1234.5678, 12, null].map(formatNumber)).toEqual(['0.1235', '1235', '12', '-']);
  });
});

describe('the picture of a run', () => {
  const run: LifecycleStatus = {
    model: 'flights/late',
    run: 'r-0123456789-1',
    stage: 'awaiting-approval',
    detail: 'Release 2 waits for 2 approvals.',
    release: null,
    evidence: null,
    gates: [{ gate: 'threshold auc', outcome: 'pass', value: 0.6712, bound: 0.6, detail: '' }],
    approvals: [{ person: 'person:ana', decision: 'approve', at: '2024-01-01T00:00:00Z' }],
    approvalsRequired: 2,
    approvalDeadline: '2024-01-02T00:00:00Z',
    story: [{ at: '2024-01-01T00:00:00.000Z', text: 'Registered as release 2' }],
  };
  const nowMs = Date.parse('2024-01-01T12:00:00Z');

  it('says what was done, what it waits for, for how long, and what to type', () => {
    const lines = drawRun({ run, deployment: null, nowMs }, 200);
    expect(lines[2]).toContain('[x] registering  [>] awaiting-approval  [ ] rolling-out');
    expect(lines).toContain('  1 of 2 approvals; 12 h left');
    expect(lines).toContain('  next: slipway approve flights/late --run r-0123456789-1 --key <key>');
    expect(lines.some((line) => line.includes('threshold auc: 0.6712 (bound 0.6)'))).toBe(true);
  });

  it('ticks what was done and marks where a run ended that was not promoted', () => {
    const stages = (ended: NonNullable<LifecycleStatus['ended']>): string =>
      drawRun({ run: { ...run, stage: 'finished', ended }, deployment: null, nowMs }, 200)[2]!;
    expect(stages({ outcome: 'gates-failed', stage: 'judging' })).toBe(
      '[x] admitting  [x] ingesting  [x] training  [x] evaluating  [!] judging  [ ] registering  [ ] awaiting-approval  [ ] rolling-out',
    );
    expect(stages({ outcome: 'promoted', stage: 'rolling-out' })).not.toMatch(/\[[ !>]\]/);
  });

  it('has what somebody needs who is to decide, by itself', () => {
    expect(drawDecision(run, nowMs)).toEqual([
      '',
      'gates',
      '  pass           threshold auc: 0.6712 (bound 0.6)',
      '',
      'approvals',
      '  1 of 2 approvals; 12 h left',
      '  approve by person:ana at 2024-01-01T00:00:00Z',
      '  next: slipway approve flights/late --run r-0123456789-1 --key <key>',
    ]);
  });

  it('shows the canary of this run, its weight and its verdicts', () => {
    const deployment = {
      rollout: {
        run: run.run,
        release: { version: 2 },
        step: 0,
        steps: 3,
        weights: { champion: 0.9, challenger: 0.1 },
        paused: false,
        verdicts: [
          {
            check: 'errors',
            outcome: 'inconclusive',
            statistic: { name: 'log e-value', value: 0.5 },
            bound: { name: 'log 1/alpha', value: 2.9957 },
            counts: { keys: 12 },
            detail: '',
            resolves: '',
          },
        ],
      },
    } as unknown as DeploymentStatus;
    const lines = drawRun({ run: { ...run, stage: 'rolling-out' }, deployment, nowMs }, 200);
    expect(lines).toContain(`  release 2, step 1 of 3  [###${'.'.repeat(27)}] 10 % of callers`);
    expect(lines).toContain('  inconclusive  errors: log e-value 0.5, log 1/alpha 2.996 (keys 12)');
  });

  it('never is wider than the terminal', () => {
    expect(Math.max(...drawRun({ run, deployment: null, nowMs }, 40).map((line) => line.length))).toBe(40);
  });
});

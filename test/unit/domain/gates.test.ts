import { judgeGates } from '../../../workflows/domain/gates';
import { gatesPass } from '../../../workflows/domain/verdict';
import type { GateSpec } from '../../../workflows/domain/spec';

const champion = { version: 4, digest: `sha256:${'a'.repeat(64)}` as const };
const measured = { candidate: 0.68, baseline: 0.5, champion: 0.66, advantageLowerBound: 0.004 };
const evidence = {
  metrics: { auc: measured, logLoss: { candidate: 0.48, baseline: 0.52, champion: 0.5, advantageLowerBound: -0.01 } },
  champion,
  compatibility: [],
};
const outcome = (gate: GateSpec, changed: object = {}) => judgeGates([gate], { ...evidence, ...changed })[0]!;

describe('gates', () => {
  it('hold a metric between its limits', () => {
    const gate = { kind: 'threshold', metric: 'auc', min: 0.6, max: null } as const;
    expect(outcome(gate)).toEqual({
      gate: 'threshold auc',
      outcome: 'pass',
      value: 0.68,
      bound: 0.6,
      detail: 'auc 0.68; asked for at least 0.6.',
    });
    expect(outcome({ ...gate, min: 0.7 })).toMatchObject({
      outcome: 'fail',
      bound: 0.7,
      detail: 'auc 0.68; asked for at least 0.7.',
    });
    expect(outcome({ ...gate, min: 0.5, max: 0.65 })).toMatchObject({
      outcome: 'fail',
      bound: 0.65,
      detail: 'auc 0.68; asked for at least 0.5 and at most 0.65.',
    });
  });

  it('ask for an advantage over the training mean, in the direction of the metric', () => {
    expect(outcome({ kind: 'baseline', metric: 'auc', by: 0.1 })).toMatchObject({ outcome: 'pass', bound: 0.1 });
    expect(outcome({ kind: 'baseline', metric: 'logLoss', by: 0.05 })).toMatchObject({ outcome: 'fail', bound: 0.05 });
    expect(outcome({ kind: 'baseline', metric: 'logLoss', by: 0.03 }).outcome).toBe('pass');
  });

  it('compare the lower bound of the advantage with the margin', () => {
    const gate = { kind: 'champion', metric: 'auc', margin: 0, confidence: 0.95 } as const;
    expect(outcome(gate)).toMatchObject({
      outcome: 'pass',
      value: 0.004,
      bound: -0,
      detail: expect.stringMatching(
        /: better by at least 0.004 at 95 % confidence over days; it must not be worse\.$/,
      ) as string,
    });
    expect(outcome({ ...gate, metric: 'logLoss' })).toMatchObject({ outcome: 'fail', value: -0.01 });
    expect(outcome({ ...gate, metric: 'logLoss', margin: 0.02 })).toMatchObject({
      outcome: 'pass',
      detail: expect.stringMatching(/: worse by up to 0.01 at 95 % .*; it may be worse by up to 0.02\.$/) as string,
    });
  });

  it('let the first release pass where it would be compared with a champion, and say so', () => {
    for (const gate of [
      { kind: 'champion', metric: 'auc', margin: 0, confidence: 0.95 },
      { kind: 'compatible' },
    ] as const) {
      expect(outcome(gate, { champion: null })).toMatchObject({
        outcome: 'pass',
        detail: expect.stringContaining('First release') as string,
      });
    }
  });

  it('fail when callers would break', () => {
    const result = outcome({ kind: 'compatible' }, { compatibility: ['distance changed its unit from mi to km'] });
    expect(result).toMatchObject({
      outcome: 'fail',
      value: 1,
      detail: 'Callers would break: distance changed its unit from mi to km.',
    });
    expect(outcome({ kind: 'compatible' })).toMatchObject({ outcome: 'pass', value: 0 });
  });

  it('I5: do not pass what cannot be measured, and no gates at all do not pass', () => {
    const gates: GateSpec[] = [
      { kind: 'threshold', metric: 'r2', min: 0, max: null },
      { kind: 'threshold', metric: 'auc', min: null, max: null },
      { kind: 'baseline', metric: 'r2', by: 0 },
      { kind: 'champion', metric: 'r2', margin: 1, confidence: 0.95 },
    ];
    const results = judgeGates(gates, evidence);
    expect(results.map(({ outcome }) => outcome)).toEqual([
      'not-measurable',
      'not-measurable',
      'not-measurable',
      'not-measurable',
    ]);
    expect(gatesPass(results)).toBe(false);
    expect(gatesPass(judgeGates([], evidence))).toBe(false);
  });

  it('say why a scorer has no metrics', () => {
    const gate = { kind: 'champion', metric: 'auc', margin: 0, confidence: 0.95 } as const;
    const none = { metrics: { auc: { ...measured, champion: null, advantageLowerBound: null } } };
    expect(outcome(gate, { ...none, championUnscored: 'Release 4 cannot be scored.' })).toMatchObject({
      outcome: 'not-measurable',
      detail: 'Release 4 cannot be scored.',
    });
    expect(outcome(gate, { ...none, candidateUnscored: '3 of 9 rows.' }).detail).toBe('3 of 9 rows.');
  });
});

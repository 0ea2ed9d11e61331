import { envelopeProblem, MAX_ENVELOPE_CHARS } from '../../workflows/domain/envelope';
import type { CanaryReport } from '../../workflows/domain/rollout';
import {
  decideStep,
  explainVerdicts,
  needsQuality,
  planSteps,
  splitTraffic,
} from '../../workflows/domain/rollout-steps';
import type { Outcome } from '../../workflows/domain/verdict';
import {
  canaryReport,
  fakeEnvelope,
  qualityReport,
  releaseRef,
  ROLLOUT_SPEC,
  verdict,
} from '../support/fake-documents';

describe('the steps of a rollout', () => {
  it('end with the bake, at which the challenger serves everything and the champion stands by', () => {
    expect(planSteps(ROLLOUT_SPEC).map(({ weight }) => weight)).toEqual([0.1, 0.5, 1]);
    expect(planSteps({ ...ROLLOUT_SPEC, bakeMs: 0 }).map(({ weight }) => weight)).toEqual([0.1, 0.5]);
    const [champion, challenger] = splitTraffic(releaseRef('a/b', 1), releaseRef('a/b', 2), 1);
    expect([champion!.weight, challenger!.weight]).toEqual([0, 1]);
  });

  it('need quality from the last one that the spec names, where the spec asks for quality', () => {
    const spec = {
      ...ROLLOUT_SPEC,
      quality: { metric: 'brier', require: 'better', margin: 0, alpha: 0.05, minDays: 1 },
    } as const;
    expect([0, 1, 2].map((step) => needsQuality(spec, step))).toEqual([false, true, true]);
    expect([0, 1, 2].map((step) => needsQuality(ROLLOUT_SPEC, step))).toEqual([false, false, false]);
  });
});

describe('the decision on a step', () => {
  const early = (outcome: Outcome): CanaryReport => canaryReport(outcome, { reason: 'verdict' });
  const none = { canary: null, quality: null, qualityNeeded: false, extensionsLeft: 1 };

  it.each([
    ['goes on when everything that it needs passed', { canary: canaryReport('pass') }, 'next'],
    ['watches on while the step is not over', { canary: early('pass') }, 'again'],
    ['watches on when nothing was reported', {}, 'again'],
    ['takes back what failed', { canary: early('fail') }, 'take-back'],
    [
      'takes back what a breaker took out, whatever the verdicts',
      { canary: canaryReport('pass', { reason: 'breaker' }) },
      'take-back',
    ],
    [
      'takes back what lost on quality, while errors pass',
      { canary: canaryReport('pass'), quality: qualityReport('fail') },
      'take-back',
    ],
    [
      'gives way to another writer before anything else',
      { canary: canaryReport('fail', { reason: 'generation-lost' }) },
      'lost',
    ],
    ['extends what is open', { canary: canaryReport('inconclusive') }, 'extend'],
    ['extends what has no quality yet', { canary: canaryReport('pass'), qualityNeeded: true }, 'extend'],
    ['ends what stays open', { canary: canaryReport('inconclusive'), extensionsLeft: 0 }, 'inconclusive'],
    [
      'I5: ends a step without a single verdict as inconclusive',
      { canary: canaryReport('pass', { verdicts: [] }), extensionsLeft: 0 },
      'inconclusive',
    ],
    [
      'I5: does not take missing quality for good',
      { canary: canaryReport('pass'), qualityNeeded: true, extensionsLeft: 0 },
      'inconclusive',
    ],
  ] as const)('%s', (_, evidence, decision) => {
    expect(decideStep({ ...none, ...evidence })).toBe(decision);
  });

  it('is explained with what stands against it first', () => {
    expect(explainVerdicts([verdict('errors', 'pass'), verdict('quality', 'fail')])).toBe(
      'quality fail: quality is fail; errors pass: errors is pass',
    );
    expect(explainVerdicts([])).toBe('nothing was measured');
  });
});

describe('the shape of an envelope', () => {
  const sound = fakeEnvelope({ any: 'document' });

  it('is accepted without a look at the signature', () => {
    expect(envelopeProblem(sound)).toBeUndefined();
  });

  it.each([
    ['null', null],
    ['a text', 'envelope'],
    ['no signature', { ...sound, signatures: [] }],
    ['a signature without text', { ...sound, signatures: [{ keyid: 1, sig: 'x' }] }],
    ['a signature with more than it has', { ...sound, signatures: [{ keyid: 'k', sig: 'x', rows: [1] }] }],
    ['a payload that is no text', { ...sound, payload: {} }],
    ['more than an envelope has', { ...sound, extra: 'x' }],
    ['too many characters', { ...sound, payload: 'A'.repeat(MAX_ENVELOPE_CHARS) }],
  ])('is refused for %s', (_, value) => {
    expect(envelopeProblem(value)).toEqual(expect.any(String));
  });
});

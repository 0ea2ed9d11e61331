import { claimRetrain, coolingUntil } from '../../../infra/monitor/cooldown';
import {
  advanceState,
  consecutiveWindows,
  decideLook,
  type MonitorState,
} from '../../../workflows/domain/monitor-decision';
import type { MonitorSpec } from '../../../workflows/domain/spec';
import type { Outcome, Verdict } from '../../../workflows/domain/verdict';
import { createMemoryStore } from '../../support/memory-store';

const day = 86_400_000;
const spec: MonitorSpec = {
  everyMs: day,
  windowMs: 7 * day,
  drift: { alpha: 0.01, minEffect: 0.1, consecutive: 2 },
  calibration: { alpha: 0.05, maxGap: 0.04, consecutive: 2 },
  retrain: { enabled: true, cooldownMs: 30 * day },
};

describe('decision of a look', () => {
  it('retrains on calibration that fails for two whole windows, not for two looks at nearly the same one', () => {
    const decisions = [0, 1, 6, 7].map((_, position, looks) => decide(looks.slice(0, position + 1), 'fail'));
    expect(decisions).toEqual(['healthy', 'healthy', 'healthy', 'retrain']);
  });

  it('forgets a streak on a pass, and keeps it where labels were missing', () => {
    const run = (middle: Outcome): string => {
      const looks: [number, Outcome][] = [
        [0, 'fail'],
        [7, middle],
        [14, 'fail'],
      ];
      return decideAfter(looks).decision;
    };
    expect(run('pass')).toBe('healthy');
    expect(run('inconclusive')).toBe('retrain');
  });

  it('puts broken data before decay: a retrain would learn them', () => {
    const state = stateAfter([
      [0, 'fail'],
      [7, 'fail'],
    ]);
    const report = {
      dataQuality: [verdict('range:distance', 'fail')],
      drift: [],
      calibration: verdict('calibration', 'fail'),
    };
    expect(decideLook({ spec, report, state, coolingUntil: null }).decision).toBe('data-broken');
  });

  it('cools down, and only reports where retraining is off', () => {
    const looks: [number, Outcome][] = [
      [0, 'fail'],
      [7, 'fail'],
    ];
    expect(decideAfter(looks, { coolingUntil: '2001-06-01T00:00:00.000Z' }).decision).toBe('cooling-down');
    const off = { ...spec, retrain: { ...spec.retrain, enabled: false } };
    expect(decideAfter(looks, { spec: off }).decision).toBe('decayed');
  });

  it('never calls a model healthy that nobody asked anything', () => {
    const report = {
      dataQuality: [verdict('volume', 'inconclusive')],
      drift: [],
      calibration: verdict('calibration', 'inconclusive'),
    };
    expect(decideLook({ spec, report, state: { streaks: {} }, coolingUntil: null }).decision).toBe('not-measurable');
  });

  it('I5: never calls a model healthy because requests were well formed, while nothing was measured of it', () => {
    const report = {
      dataQuality: [verdict('volume', 'pass')],
      drift: [verdict('drift:distance', 'inconclusive')],
      calibration: verdict('calibration', 'inconclusive'),
    };
    expect(decideLook({ spec, report, state: { streaks: {} }, coolingUntil: null }).decision).toBe('not-measurable');
  });

  it('starts anew with another release', () => {
    const before = stateAfter([[0, 'fail']]);
    const report = { release: 2, drift: [], calibration: verdict('calibration', 'fail'), rows: 10 };
    const after = advanceState(before, 'look', 7 * day, report);
    expect(consecutiveWindows(after.streaks['calibration'], spec.windowMs)).toBe(1);
  });
});

describe('cooldown between retrains', () => {
  const model = 'flights/late-arrival';
  const at = (days: number): string => new Date(Date.UTC(2001, 4, 1) + days * day).toISOString();

  it('allows one, allows it again to the same look, and the next one when it is over', async () => {
    const store = createMemoryStore();
    expect(await claimRetrain(store, model, 'look-1', at(0), 30 * day)).toBe(true);
    expect(await claimRetrain(store, model, 'look-1', at(0), 30 * day)).toBe(true);
    expect(await claimRetrain(store, model, 'look-2', at(29), 30 * day)).toBe(false);
    expect(await coolingUntil(store, model, at(29))).toBe(at(30));
    expect(await coolingUntil(store, model, at(30))).toBeNull();
    expect(await claimRetrain(store, model, 'look-3', at(30), 30 * day)).toBe(true);
  });

  it('allows exactly one of many who ask at once', async () => {
    const store = createMemoryStore();
    const asked = Array.from({ length: 16 }, (_, n) => claimRetrain(store, model, `look-${n}`, at(0), day));
    expect((await Promise.all(asked)).filter(Boolean)).toHaveLength(1);
  });
});

function decide(days: readonly number[], outcome: Outcome): string {
  return decideAfter(days.map((at) => [at, outcome])).decision;
}

function stateAfter(looks: readonly (readonly [number, Outcome])[]): MonitorState {
  return looks.reduce<MonitorState | null>(
    (state, [at, outcome]) =>
      advanceState(state, `look-${at}`, at * day, {
        release: 1,
        drift: [],
        calibration: verdict('calibration', outcome),
        rows: 1_000,
      }),
    null,
  )!;
}

function decideAfter(
  looks: readonly (readonly [number, Outcome])[],
  options: { spec?: MonitorSpec; coolingUntil?: string } = {},
) {
  const calibration = verdict('calibration', looks[looks.length - 1]![1]);
  const report = { dataQuality: [verdict('volume', 'pass')], drift: [], calibration };
  return decideLook({
    spec: options.spec ?? spec,
    report,
    state: stateAfter(looks),
    coolingUntil: options.coolingUntil ?? null,
  });
}

function verdict(check: string, outcome: Outcome): Verdict {
  const number = { name: 'n', value: 1 };
  return { check, outcome, statistic: number, bound: number, counts: {}, detail: check, resolves: '' };
}

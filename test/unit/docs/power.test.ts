import { normalFrom, seededRandom } from '../../../workflows/domain/statistics/random';
import type { QualityCheckSpec } from '../../../workflows/domain/spec';
import { readGuide } from '../../support/guide';
import { fleetVerdicts, type FleetRollout } from '../../support/fleet-simulations';
import {
  type ErrorRollout,
  type PatternedRollout,
  keysUntil,
  pairsUntilGross,
  patternedVerdict,
  qualityAfter,
} from '../../support/rollout-simulations';

const better: QualityCheckSpec = { metric: 'logLoss', require: 'better', margin: 0.01, alpha: 0.05, minDays: 5 };
const disagreement = { max: 0.08, gross: 0.16, alpha: 0.05, minKeys: 100 };

/** What docs/rollouts.md says was measured, by its own words. */
const stated = new Map(
  [...readGuide('rollouts.md').text.matchAll(/^\| ((?:errors|disagreement|quality): .*?) \| (.*?) \|$/gm)].map(
    ([, what, figure]) => [what!, figure!],
  ),
);

function median(count: number, once: () => number | null): string {
  const values = Array.from({ length: count }, () => once() ?? Infinity).sort((a, b) => a - b);
  return String(values[Math.floor(count / 2)]);
}

function share(count: number, digits: number, once: () => boolean): string {
  const found = Array.from({ length: count }, once).filter(Boolean).length;
  return `${((100 * found) / count).toFixed(digits)} %`;
}

function medianKeys(verdict: 'fail' | 'pass', count: number, rollout: Omit<ErrorRollout, 'weight'>): string {
  const random = seededRandom(12);
  return median(count, () => keysUntil(verdict, random, { ...rollout, weight: 0.05 }));
}

const MEASUREMENTS: readonly (readonly [string, () => string])[] = [
  [
    'errors: equal arms at 1 %, margin 0, 5 % of traffic, 1,000 keys: false alarms',
    () => {
      const random = seededRandom(2001);
      const rollout = { challenger: 0.01, champion: 0.01, weight: 0.05, margin: 0, keys: 1_000 };
      return share(1_000, 1, () => keysUntil('fail', random, rollout) !== null);
    },
  ],
  [
    'errors: 1 % becomes 5 %, margin 0: median keys on the challenger until `fail`',
    () => medianKeys('fail', 101, { challenger: 0.05, champion: 0.01, margin: 0, keys: 1_000 }),
  ],
  [
    'errors: 1 % becomes 5 %, margin 1 %: median keys until `fail`',
    () => medianKeys('fail', 101, { challenger: 0.05, champion: 0.01, margin: 0.01, keys: 2_000 }),
  ],
  [
    'errors: 1 % becomes 2 %, margin 0: median keys until `fail`',
    () => medianKeys('fail', 60, { challenger: 0.02, champion: 0.01, margin: 0, keys: 6_000 }),
  ],
  [
    'errors: no errors at all, margin 1 %: median keys until `pass`, looked at each 25',
    () => medianKeys('pass', 41, { challenger: 0, champion: 0, margin: 0.01, keys: 5_000 }),
  ],
  ...(['1', '3', '8'] as const).flatMap((gateways): [string, () => string][] => {
    const fleet = gateways === '1' ? '1 gateway' : `${gateways} gateways`;
    const spreads = [['at once', 'every key asks all of them'] as const, ['one', 'each key asks one'] as const];
    return spreads.slice(gateways === '1' ? 1 : 0).flatMap(([spread, asks]): [string, () => string][] => {
      const about = gateways === '1' ? fleet : `${fleet}, ${asks}`;
      return [
        [
          `errors: 1 % becomes 5 %, margin 1 %, ${about}: median keys until \`fail\``,
          () => fleetKeys('fail', Number(gateways), spread),
        ],
        [
          `errors: no errors at all, margin 1 %, ${about}: median keys until \`pass\``,
          () => fleetKeys('pass', Number(gateways), spread),
        ],
      ];
    });
  }),
  ...(
    [
      ['any', 'keys ask any of 8 gateways'],
      ['one', 'keys ask one of 8 gateways'],
    ] as const
  ).map(([spread, asks]): [string, () => string] => [
    `errors: 2 % of keys always fail, ${asks} and then another, challenger at the margin: wrong passes`,
    () => {
      const rates = { champion: 0.02, challenger: 0.03, margin: 0.01, weight: 0.5, alpha: 0.05, keys: 4_000 };
      const fleet = { gateways: 8, spread, outcomes: 'persistent', retries: true, visits: 12_000 } as const;
      let seed = 0;
      return share(200, 0, () => fleetVerdicts((seed += 1), { ...rates, ...fleet }, 'pass').pass !== null);
    },
  ]),
  ...(['3.5 %', '5 %', '7 %'] as const).map((becomes): [string, () => string] => [
    `errors: at one of 3 gateways nobody fails, for callers of the others 2 % becomes ${becomes}, margin 1 %: passes`,
    () => {
      const rates = { champion: 0.02, challenger: parseFloat(becomes) / 100, margin: 0.01, weight: 0.5, alpha: 0.05 };
      const unequal = [{ champion: 0, challenger: 0 }, rates, rates];
      const fleet = { gateways: 3, spread: 'one', outcomes: 'persistent', retries: false, unequal } as const;
      let seed = 0;
      const sizes = { keys: 4_000, visits: 12_000 };
      return share(200, 0, () => fleetVerdicts((seed += 1), { ...rates, ...sizes, ...fleet }, 'pass').pass !== null);
    },
  ]),
  [
    'disagreement: mean day at the bound, days differ by 15 %, 9 days: false alarms',
    () => patternedShare('fail', 200, { mean: 0.08, dayFactor: normalDays(0.15) }),
  ],
  [
    'disagreement: mean day 0.1, bound 0.08, days differ by 5 %: median days until `fail`',
    () => patternedDays('fail', 51, { mean: 0.1, dayFactor: normalDays(0.05) }),
  ],
  [
    'disagreement: mean day 0.065, bound 0.08, days differ by 8 %: median days until `pass`',
    () => patternedDays('pass', 51, { mean: 0.065, dayFactor: normalDays(0.08) }),
  ],
  [
    'disagreement: mean 0.25 in the first hours, bound 0.08: median keys until `fail`',
    () => {
      const random = seededRandom(3);
      return median(101, () => pairsUntilGross(random, { mean: 0.25, gross: 0.16, keys: 1_000 }));
    },
  ],
  [
    'quality: equal arms, days differ by 2 %, 40 days: false passes',
    () => {
      const random = seededRandom(31);
      return share(1_000, 1, () => qualityAfter(random, better, { days: 40, mean: 0, sd: 0.02 }).outcome === 'pass');
    },
  ],
  [
    'quality: 2.7 % better, days differ by 1.8 %: median days until `pass`',
    () => medianDays('pass', 29, { mean: 0.027, sd: 0.018 }),
  ],
  ['quality: 12 % worse: median days until `fail`', () => medianDays('fail', 5, { mean: -0.12, sd: 0.02 })],
];

/** Distinct keys on the challenger, with 5 % of traffic, at the verdict. */
function fleetKeys(verdict: 'fail' | 'pass', gateways: number, spread: FleetRollout['spread']): string {
  const rates = verdict === 'fail' ? { champion: 0.01, challenger: 0.05 } : { champion: 0, challenger: 0 };
  const rollout = { ...rates, margin: 0.01, weight: 0.05, alpha: 0.05, keys: 400_000, visits: 200_000 };
  const fleet = { gateways, spread, outcomes: 'persistent', retries: false } as const;
  let seed = 0;
  return median(41, () => fleetVerdicts((seed += 1), { ...rollout, ...fleet }, verdict)[verdict]);
}

function medianDays(verdict: 'pass' | 'fail', seed: number, days: { mean: number; sd: number }): string {
  const random = seededRandom(seed);
  return median(101, () => {
    const { outcome, days: after } = qualityAfter(random, better, { ...days, days: 31 });
    return outcome === verdict ? after : null;
  });
}

type Patterned = Pick<PatternedRollout, 'mean' | 'dayFactor'>;

function normalDays(deviation: number): PatternedRollout['dayFactor'] {
  return (random) => Math.max(0.1, 1 + deviation * normalFrom(random));
}

/** Hours until the verdict of rollouts that begin at all hours, over 9 days. */
function patternedHoursUntil(verdict: 'pass' | 'fail', count: number, rollout: Patterned): (number | null)[] {
  const random = seededRandom(7);
  return Array.from({ length: count }, (_, at) => {
    const startHour = (at * 5) % 24;
    return patternedVerdict(random, disagreement, { ...rollout, keysPerDay: 200, startHour }, 9)[verdict];
  });
}

function patternedShare(verdict: 'pass' | 'fail', count: number, rollout: Patterned): string {
  const hours = patternedHoursUntil(verdict, count, rollout);
  return share(count, 1, () => hours.pop() !== null);
}

function patternedDays(verdict: 'pass' | 'fail', count: number, rollout: Patterned): string {
  const hours = patternedHoursUntil(verdict, count, rollout);
  return median(count, () => {
    const after = hours.pop() ?? null;
    return after === null ? null : after / 24;
  });
}

describe('the figures of docs/rollouts.md', () => {
  it.each(MEASUREMENTS)('%s', (what, measure) => {
    expect(stated.get(what)).toBe(measure());
  });

  it('are all measured here', () => {
    expect([...stated.keys()].sort()).toEqual(MEASUREMENTS.map(([what]) => what).sort());
  });
});

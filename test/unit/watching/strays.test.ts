import { isStepOver } from '../../../activities/watching/watch-canary';
import { GenerationCounts } from '../../../workers/gateway/records/generation-counts';
import type { WatchInput } from '../../../workflows/deployment.activities';
import { judgeCanary, sumObservations } from '../../../workflows/domain/canary';
import { claimOf } from '../../../workflows/domain/disagreement-claim';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import type { Verdict } from '../../../workflows/domain/verdict';

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 0, 10, 1, 30);
const STEPS = [{ weight: 0.5, forMs: 24 * HOUR_MS }];
const ERRORS = { margin: 0.05, alpha: 0.05, minKeys: 100 };
const DISAGREEMENT = { max: 0.05, gross: 0.1, alpha: 0.05, minKeys: 100 };

/** What one gateway counted of requests at these times, alternately of both arms. */
function counted(times: readonly number[], gateway = 'g'): ObservationDocument {
  const counts = new GenerationCounts('a/b', 7);
  times.forEach((atMs, index) => {
    counts.countAnswer((index % 2) as 0 | 1, false, true, atMs, 1);
    counts.countPair(0.01, atMs);
  });
  return counts.document({ gateway, incarnation: gateway, updatedAt: '', lostAtMost: 0 });
}

function traffic(hours: number, perHour = 3_600): number[] {
  return Array.from({ length: hours * perHour }, (_, at) => START_MS + (at * HOUR_MS) / perHour);
}

function isOver(documents: readonly ObservationDocument[]): boolean {
  const rollout = { clock: 'event', spec: { steps: STEPS } };
  const input = { rollout, generations: [7], step: 0, eventStartMs: null, endsAtMs: Infinity };
  return isStepOver(input as unknown as WatchInput, { documents }, START_MS);
}

function disagreement(documents: readonly ObservationDocument[]): Verdict {
  const sums = sumObservations(documents, 'request');
  const stage = { claim: claimOf(STEPS, 0), untilMs: sums.watermarkMs };
  return judgeCanary({ errors: ERRORS, disagreement: DISAGREEMENT }, 'binary', sums, [], stage)[1]!;
}

describe('a step of a day in event time, after 66 minutes', () => {
  const day = 24 * HOUR_MS;
  const strays: readonly (readonly [string, readonly number[]])[] = [
    ['one request of 23 hours ago', [START_MS - 23 * HOUR_MS]],
    ['one request of 1970', [0]],
    ['one request of tomorrow', [START_MS + day]],
    ['nine requests of tomorrow', Array.from({ length: 9 }, () => START_MS + day)],
    ['a burst of 100 requests of 23 hours ago', Array.from({ length: 100 }, () => START_MS - 23 * HOUR_MS)],
    [
      'one request in 25 being late by up to a day',
      Array.from({ length: 160 }, (_, at) => START_MS - (at * day) / 160),
    ],
  ];

  it.each(strays)('is not over by %s, first or last', (_, times) => {
    for (const documents of [[counted([...times, ...traffic(1.1)])], [counted([...traffic(1.1), ...times])]]) {
      expect(isOver(documents)).toBe(false);
      expect(disagreement(documents)).toMatchObject({ outcome: 'inconclusive', resolves: 'a whole day of traffic' });
    }
  });

  it.each(strays)('is not over by %s at a gateway of their own', (_, times) => {
    const documents = [counted(traffic(1.1)), counted(times, 'other')];
    expect([isOver(documents), disagreement(documents).outcome]).toEqual([false, 'inconclusive']);
  });

  it('is not over by fewer requests than can say it, though a day lies between them', () => {
    expect(isOver([counted([START_MS, START_MS + day, START_MS + 2 * day])])).toBe(false);
  });
});

describe('a step of a day in event time, after a day', () => {
  it.each([3_600, 60, 6])('is over with %d requests an hour, and not before', (perHour) => {
    const slackHours = Math.ceil(20 / perHour);
    expect(isOver([counted(traffic(23.9, perHour))])).toBe(false);
    expect(isOver([counted(traffic(24 + slackHours, perHour))])).toBe(true);
  });

  it('is over with a few late requests too, and judges the day without them', () => {
    const documents = [counted([START_MS - 20 * HOUR_MS, ...traffic(24.1)])];
    expect(isOver(documents)).toBe(true);
    expect(disagreement(documents)).toMatchObject({ outcome: 'pass', counts: { days: 1 } });
  });

  it('is over where the traffic comes once a day', () => {
    const batch = (atMs: number): number[] => Array.from({ length: 500 }, (_, at) => atMs + at);
    expect(isOver([counted([...batch(START_MS), ...batch(START_MS + 24 * HOUR_MS)])])).toBe(true);
  });
});

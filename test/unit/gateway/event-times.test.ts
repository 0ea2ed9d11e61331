import { GenerationCounts } from '../../../workers/gateway/records/generation-counts';
import { MAX_EVENT_AHEAD_MS, readEventTime } from '../../../workers/gateway/inference/event-time';
import { sumObservations } from '../../../workflows/domain/canary';
import { FEW_REQUESTS } from '../../../workflows/domain/event-span';
import type { ObservationDocument } from '../../../workflows/domain/observation';

const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const DAY_MS = 86_400_000;
const ABOUT = { gateway: 'g', incarnation: 'g-1', updatedAt: '2026-03-01T12:00:00.000Z', lostAtMost: 0 };

function refusal(given: unknown): string {
  try {
    return String(readEventTime(given, 'event', NOW_MS));
  } catch (error) {
    return (error as Error).message;
  }
}

describe('the event time that a caller sends', () => {
  it('is taken from the past, and from clocks that run a little ahead', () => {
    const replayedMs = Date.parse('2001-03-01T00:00:00Z');
    expect(readEventTime(replayedMs, 'event', NOW_MS)).toBe(replayedMs);
    expect(readEventTime(NOW_MS + MAX_EVENT_AHEAD_MS, 'event', NOW_MS)).toBe(NOW_MS + MAX_EVENT_AHEAD_MS);
    expect(readEventTime(undefined, 'wall', NOW_MS)).toBe(NOW_MS);
  });

  it.each([
    ['of the year 2999', Date.parse('2999-01-01T00:00:00Z')],
    ['that no calendar has', Number.MAX_SAFE_INTEGER],
  ])('is refused %s: it would end every step and every wait for labels', (_, given) => {
    expect(refusal(given)).toBe(
      'the parameter `event_time` lies more than a day ahead of the clock here; it is in epoch ms',
    );
    expect(() => readEventTime(given, 'wall', NOW_MS)).toThrow('ahead of the clock');
  });

  it('is refused before 1970, which prediction files have no folder for', () => {
    expect(refusal(-1)).toBe('the parameter `event_time` must be an integer, epoch ms');
  });
});

describe('a request whose event time is far behind the others', () => {
  const countsOf = (times: readonly number[], reachedMs: number | null = null): ObservationDocument => {
    const counts = new GenerationCounts('a/b', 3, reachedMs);
    for (const atMs of times) counts.countAnswer(0, false, true, atMs, 1);
    return counts.document(ABOUT);
  };

  const usual = Array.from({ length: 60 }, (_, second) => NOW_MS + second * 1_000);

  it('is counted, and does not move where the rollout begins', () => {
    const document = countsOf([NOW_MS, 0, ...usual]);
    expect(document.arms.champion?.requests).toBe(62);
    expect(sumObservations([document], 'request').firstMs).toBe(NOW_MS);
  });

  it('does not either when it is the first of a generation, or of a gateway', () => {
    expect(sumObservations([countsOf([0, ...usual], NOW_MS)], 'request').firstMs).toBe(NOW_MS);
    expect(sumObservations([countsOf([0, ...usual])], 'request').firstMs).toBe(NOW_MS);
  });

  it('does not when it is a day late or less', () => {
    expect(sumObservations([countsOf([...usual, NOW_MS - DAY_MS])], 'request').firstMs).toBe(NOW_MS);
  });

  it('is in no window when it is more than a day behind what others have reached', () => {
    const startsOf = (times: readonly number[]): number[] => countsOf(times).windows.map(({ startMs }) => startMs);
    expect(startsOf([...usual, NOW_MS - DAY_MS + 60_000])[0]).toBe(NOW_MS - DAY_MS + 60_000);
    expect(startsOf([...usual, NOW_MS - 2 * DAY_MS])).toEqual(startsOf(usual));
  });

  it('is not made so by a few who are a day ahead', () => {
    const ahead = Array.from({ length: FEW_REQUESTS - 1 }, () => NOW_MS + 2 * DAY_MS);
    const document = countsOf([...ahead, ...usual]);
    expect(document.windows.reduce((sum, { requests }) => sum + requests, 0)).toBe(ahead.length + usual.length);
    expect(sumObservations([document], 'request')).toMatchObject({ firstMs: NOW_MS, watermarkMs: NOW_MS + 60_000 });
  });

  it('is not made so after a restart either', () => {
    const counts = GenerationCounts.fromDocument(countsOf([NOW_MS + 2 * DAY_MS, ...usual]));
    counts.countAnswer(0, false, true, NOW_MS, 1);
    expect(counts.document(ABOUT).windows[0]).toMatchObject({ startMs: NOW_MS, requests: 11 });
  });
});

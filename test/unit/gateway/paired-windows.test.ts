import { GenerationCounts } from '../../../workers/gateway/records/generation-counts';
import { MAX_PAIRED_ROWS } from '../../../workers/gateway/records/paired-windows';
import { FEW_REQUESTS } from '../../../workflows/domain/event-span';
import type { ObservationDocument } from '../../../workflows/domain/observation';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ABOUT = { gateway: 'g', incarnation: 'i', updatedAt: '', lostAtMost: 0 };
const START_MS = Date.UTC(2001, 2, 4, 18, 58);

function documentOf(times: readonly number[]): ObservationDocument {
  const counts = new GenerationCounts('flights/late-arrival', 2);
  for (const atMs of times) counts.countPair(0.5, atMs);
  return counts.document(ABOUT);
}

describe('windows of paired scores', () => {
  it('are hours of the clock', () => {
    const { pairedWindows } = documentOf([START_MS, START_MS + 60_000, START_MS + 120_000]);
    expect(pairedWindows).toEqual([
      { startMs: Date.UTC(2001, 2, 4, 18), keys: 2, sumAbsDifference: 1, sumSquaredDifference: 0.5 },
      { startMs: Date.UTC(2001, 2, 4, 19), keys: 1, sumAbsDifference: 0.5, sumSquaredDifference: 0.25 },
    ]);
  });

  it('become whole days from the first hour on when there are many, and lose no key', () => {
    const hours = Array.from({ length: 2 * MAX_PAIRED_ROWS }, (_, hour) => START_MS + hour * HOUR_MS);
    const { pairedWindows, pairedWindowMs } = documentOf(hours);
    expect(pairedWindowMs).toBe(DAY_MS);
    expect(pairedWindows!.every(({ startMs }) => (startMs - Date.UTC(2001, 2, 4, 18)) % DAY_MS === 0)).toBe(true);
    expect(pairedWindows!.slice(0, -1).every(({ keys }) => keys === 24)).toBe(true);
    expect(pairedWindows!.reduce((sum, { keys }) => sum + keys, 0)).toBe(hours.length);
  });

  it('leave out a key whose clock stands still, which is counted all the same', () => {
    const counts = new GenerationCounts('flights/late-arrival', 2);
    for (let request = 0; request < FEW_REQUESTS; request += 1) counts.countAnswer(0, false, true, START_MS, 1);
    counts.countPair(0.5, 0);
    const { paired, pairedWindows } = counts.document(ABOUT);
    expect([paired.keys, pairedWindows]).toEqual([1, []]);
  });

  it('go on where a snapshot ended', () => {
    const document = documentOf([START_MS, START_MS + HOUR_MS]);
    const counts = GenerationCounts.fromDocument(document);
    counts.countPair(0.5, START_MS + 1);
    expect(counts.document(ABOUT).pairedWindows!.map(({ keys }) => keys)).toEqual([2, 1]);
  });
});

import { countersOf } from '../../../workflows/domain/counters';
import type { ObservationDocument } from '../../../workflows/domain/observation';

const EMPTY = { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 };

describe('who counts apart', () => {
  it('is each gateway, with its incarnations and generations added up, where keys may ask several', () => {
    const documents = [
      document('a', { openedAt: at(1), incarnation: 'a-1' }),
      document('b', { openedAt: at(2) }),
      document('a', { openedAt: at(3), incarnation: 'a-2', generation: 8 }),
    ];
    const counters = countersOf(documents, 'parameter', null);
    expect(counters.map(({ gateway, counts }) => [gateway, counts.errors.challenger.keys])).toEqual([
      ['a', 20],
      ['b', 10],
    ]);
  });

  it('is nobody where each request is a key of its own', () => {
    const counters = countersOf([document('a', {}), document('b', {})], 'request', null);
    expect(counters).toMatchObject([{ gateway: null, alphaShare: 1, counts: { errors: { champion: { keys: 20 } } } }]);
  });

  it('is inconclusive and not missing without any document', () => {
    expect(countersOf([], 'header', null)).toMatchObject([{ alphaShare: 1, counts: { paired: EMPTY } }]);
  });

  it('keeps the share of a gateway that began before others joined, also when it starts anew', () => {
    const shares = (documents: readonly ObservationDocument[]): Record<string, number> =>
      Object.fromEntries(
        countersOf(documents, 'header', null).map(({ gateway, alphaShare }) => [gateway!, alphaShare]),
      );
    const alone = [document('m', { openedAt: at(5) })];
    const joined = [document('a', { openedAt: at(9) }), document('z', { openedAt: at(7) }), ...alone];
    const restarted = [...joined, document('m', { openedAt: at(50), incarnation: 'm-2' })];
    expect(shares(alone)).toEqual({ m: 0.9 });
    expect(shares(joined).m).toBe(0.9);
    expect(shares(joined).z).toBeGreaterThan(shares(joined).a!);
    expect(shares(restarted)).toEqual(shares(joined));
  });

  it('takes a gateway of an older version, whose documents do not say when it began, for one of the first', () => {
    const documents = [document('a', { openedAt: at(1) }), document('y', {}), document('c', {})];
    expect(countersOf(documents, 'header', null).map(({ gateway }) => gateway)).toEqual(['c', 'y', 'a']);
  });
});

function at(second: number): string {
  return new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
}

function document(gateway: string, about: Partial<ObservationDocument>): ObservationDocument {
  const counts = { requests: 10, errors: 1, keys: 10, errorKeys: 1, latencyMsSum: 1 };
  return {
    ...{ schema: 'slipway.observation/1', model: 'a/b', generation: 7, gateway, incarnation: `${gateway}-1` },
    ...{ updatedAt: '', watermarkMs: null, windows: [], paired: EMPTY, lostAtMost: 0 },
    arms: { champion: counts, challenger: counts },
    ...about,
  };
}

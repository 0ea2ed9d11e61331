import { LABEL_GRACE_MS, MaturedDays, MAX_DAYS } from '../../../activities/watching/matured-days';
import type { PairedRows } from '../../../infra/predictions/reader';
import type { WatchInput } from '../../../workflows/deployment.activities';
import type { QualityCheckSpec } from '../../../workflows/domain/spec';

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2001, 2, 1);
const NOTHING: PairedRows = {
  paired: 0,
  labels: new Float64Array(),
  champion: new Float64Array(),
  challenger: new Float64Array(),
};

function watchOf(rowsOf: (day: string) => PairedRows): { days: MaturedDays; asked: string[] } {
  const asked: string[] = [];
  const predictions = {
    pairedRows: async ({ day }: { day: string }) => {
      asked.push(day);
      return rowsOf(day);
    },
  };
  const input = { model: 'a/b', generations: [2], rollout: { release: { version: 2 } } } as unknown as WatchInput;
  return { days: new MaturedDays(predictions, input, { metric: 'logLoss' } as QualityCheckSpec, 0), asked };
}

describe('matured days without labels', () => {
  it('wait together and not one after the other', async () => {
    const { days, asked } = watchOf(() => NOTHING);
    const untilMs = START_MS + 30 * DAY_MS;
    await days.read({ firstMs: START_MS, untilMs, nowMs: 0 });
    await days.read({ firstMs: START_MS, untilMs, nowMs: LABEL_GRACE_MS });
    expect(new Set(asked).size).toBe(30);
    asked.length = 0;
    await days.read({ firstMs: START_MS, untilMs, nowMs: LABEL_GRACE_MS + 1 });
    expect(asked).toEqual([]);
  });

  it('are not looked for in all the years since 1970 because one caller says so', async () => {
    const { days, asked } = watchOf(() => NOTHING);
    const span = { firstMs: 0, untilMs: START_MS };
    await days.read({ ...span, nowMs: 0 });
    await days.read({ ...span, nowMs: LABEL_GRACE_MS });
    expect(new Set(asked).size).toBe(MAX_DAYS);
    expect(asked.at(-1)).toBe('2001-02-28');
  });
});

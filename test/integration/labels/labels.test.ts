import { MAX_EVENT_DAYS, recordLabels, type LabelRow } from '../../../infra/labels/labels';
import { createMemoryStore } from '../../support/memory-store';

const model = 'flights/late-arrival';
const noon = Date.UTC(2001, 2, 1, 12);
const DAY_MS = 86_400_000;
const label = (day: number, changes: Partial<LabelRow> = {}): LabelRow => ({
  ...{ requestId: `r-${day}`, label: 1, eventTimeMs: noon + day * DAY_MS, knownAtMs: noon + (day + 1) * DAY_MS },
  ...changes,
});

describe('a batch of labels', () => {
  it('of more event days than a batch may have is refused before anything is written, and says which days they were', async () => {
    const store = createMemoryStore();
    const rows = Array.from({ length: MAX_EVENT_DAYS + 1 }, (_, day) => label(day));
    await expect(recordLabels(store, model, rows)).rejects.toMatchObject({
      code: 'DATA_LABEL',
      message: expect.stringMatching(
        /^the labels are of 401 event days, from 2001-03-01 to 2002-04-05; .* 400 at most/,
      ) as string,
    });
    expect(store.objects.size).toBe(0);
    expect(await recordLabels(store, model, rows.slice(0, 40))).toMatchObject({ parts: 40, newParts: 40 });
  });

  it.each([
    ['request id', { requestId: '' }],
    ['label', { label: Number.NaN }],
    ['event time', { eventTimeMs: 8.64e15 }],
    ['known-at time', { knownAtMs: Number.POSITIVE_INFINITY }],
  ])('names the row and its %s, and no value (I10)', async (field, change) => {
    const rows = [label(0), label(1, { requestId: 'ada@example.org', label: 0.4711, ...change })];
    const refused: unknown = await recordLabels(createMemoryStore(), model, rows).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'DATA_LABEL', message: `row 2 of the labels has no valid ${field}` });
  });
});

import fc from 'fast-check';
import type { Batch, BatchItem } from '../../../workers/gateway/batching';
import { BatchQueue, MAX_BATCH_ROWS, settleBatch } from '../../../workers/gateway/batching';
import { packBatch, countInputs } from '../../../workers/gateway/packing';
import type { SessionInputs } from '../../../workers/gateway/executor-messages';

const INPUTS: SessionInputs = {
  inputs: [
    { name: 'a', datatype: 'FP32' },
    { name: 's', datatype: 'BYTES' },
    { name: 'b', datatype: 'FP32' },
    { name: 'i', datatype: 'INT64' },
  ],
  output: 'score',
};

class Asked implements BatchItem {
  outcome: number[] | string | null = null;
  settled = 0;
  readonly columns: (number | string)[][];
  constructor(
    readonly id: number,
    readonly rows: number,
    readonly isBad: boolean,
  ) {
    const values = Array.from({ length: rows }, (_, row) => id * 100 + row);
    this.columns = [values, values.map((value) => `s${value}`), values.map((value) => -value), values];
  }
  settle(error: string | null, scores: Float32Array, offset: number): void {
    this.settled += 1;
    this.outcome = error ?? [...scores.slice(offset, offset + this.rows)];
  }
}

/** Scores by the packed arrays alone, so that a wrong place of any value gives a wrong score; a bad row fails its batch. */
function fakeRun(batch: Batch): { output: Float32Array | null; error: string | null } {
  if (batch.items.some((item) => (item as Asked).isBad)) return { output: null, error: 'bad row' };
  const packed = packBatch(batch, INPUTS, countInputs(INPUTS));
  const output = Float32Array.from({ length: packed.rows }, (_, row) => {
    const [a, b] = [packed.floats[row]!, packed.floats[packed.rows + row]!];
    return a === -b && packed.strings[row] === `s${a}` && packed.integers[row] === a ? a * 2 : NaN;
  });
  return { output, error: null };
}

describe('micro-batching', () => {
  it('gives every item its own scores under any interleaving of arrivals, sessions and failures', () => {
    const arrival = fc.record({
      session: fc.integer({ min: 1, max: 3 }),
      rows: fc.integer({ min: 1, max: 90 }),
      isBad: fc.boolean(),
      isBackground: fc.boolean(),
      runsBefore: fc.integer({ min: 0, max: 2 }),
    });
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 60 }), (arrivals) => {
        const queue = new BatchQueue();
        const singles: Batch[] = [];
        const items: Asked[] = [];
        const runOne = (): boolean => {
          const batch = singles.pop() ?? queue.next();
          if (!batch) return false;
          expect(batch.items.length === 1 || batch.rows <= MAX_BATCH_ROWS).toBe(true);
          const { output, error } = fakeRun(batch);
          for (const item of settleBatch(batch, output, error))
            singles.push({ session: batch.session, items: [item], rows: item.rows });
          return true;
        };
        arrivals.forEach(({ session, rows, isBad, isBackground, runsBefore }, id) => {
          for (let run = 0; run < runsBefore; run += 1) runOne();
          const item = new Asked(id + 1, rows, isBad);
          items.push(item);
          queue.push(session, item, isBackground);
        });
        while (runOne());
        expect([queue.foregroundRows, queue.backgroundRows]).toEqual([0, 0]);
        for (const item of items) {
          expect(item.settled).toBe(1);
          expect(item.outcome).toEqual(
            item.isBad ? 'bad row' : Array.from({ length: item.rows }, (_, row) => 2 * (item.id * 100 + row)),
          );
        }
      }),
      { numRuns: 300 },
    );
  });

  it('lets callers go before comparisons, and a comparison at least every fifth time', () => {
    const queue = new BatchQueue();
    for (let id = 0; id < 20; id += 1) queue.push(1, new Asked(id, MAX_BATCH_ROWS, false), false);
    for (let id = 20; id < 23; id += 1) queue.push(2, new Asked(id, MAX_BATCH_ROWS, false), true);
    const sessions: number[] = [];
    for (let batch = queue.next(); batch; batch = queue.next()) sessions.push(batch.session);
    expect(sessions.slice(0, 15)).toEqual([1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2]);
  });

  it('takes turns between the sessions that wait', () => {
    const queue = new BatchQueue();
    for (let id = 0; id < 6; id += 1) queue.push(1 + (id % 3), new Asked(id, MAX_BATCH_ROWS, false), false);
    const sessions: number[] = [];
    for (let batch = queue.next(); batch; batch = queue.next()) sessions.push(batch.session);
    expect(sessions).toEqual([1, 2, 3, 1, 2, 3]);
  });

  it('hands back what waits for a session that ends', () => {
    const queue = new BatchQueue();
    queue.push(1, new Asked(1, 5, false), false);
    queue.push(1, new Asked(2, 7, false), true);
    queue.push(2, new Asked(3, 1, false), false);
    expect(queue.drain(1).map((item) => (item as Asked).id)).toEqual([1, 2]);
    expect([queue.foregroundRows, queue.backgroundRows, queue.next()?.session, queue.next()]).toEqual([1, 0, 2, null]);
  });

  it('tells a single item when the model gives another number of scores', () => {
    const item = new Asked(1, 3, false);
    settleBatch({ session: 1, items: [item], rows: 3 }, new Float32Array(2), null);
    expect(item.outcome).toBe('the model gave 2 values for 3 rows');
  });
});

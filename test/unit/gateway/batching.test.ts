import fc from 'fast-check';
import type { Batch, BatchItem } from '../../../workers/gateway/execution/batching';
import type { Level } from '../../../workers/gateway/execution/batch-queue';
import { BACKGROUND, BatchQueue, NORMAL, URGENT } from '../../../workers/gateway/execution/batch-queue';
import { MAX_BATCH_ROWS, settleBatch, sweepTaken } from '../../../workers/gateway/execution/batching';
import { packBatch, countInputs } from '../../../workers/gateway/execution/packing';
import type { SessionInputs } from '../../../workers/gateway/execution/executor-messages';

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
  isGone = false;
  deadlineMs = Infinity;
  readonly columns: (number | string)[][];
  constructor(
    readonly id: number,
    readonly rows: number,
    readonly isBad = false,
  ) {
    const values = Array.from({ length: rows }, (_, row) => id * 100 + row);
    this.columns = [values, values.map((value) => `s${value}`), values.map((value) => -value), values];
  }
  settle(error: string | null, scores: Float32Array, offset: number): void {
    this.settled += 1;
    this.outcome = error ?? [...scores.slice(offset, offset + this.rows)];
  }
  drop(reason: string, begun: boolean): void {
    this.settled += 1;
    this.outcome = `${reason}${begun ? ' in inference' : ''}`;
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

function queueWith(...sessions: number[]): BatchQueue {
  const queue = new BatchQueue();
  for (const session of sessions) queue.open(session);
  return queue;
}

function push(queue: BatchQueue, session: number, item: Asked, level: Level = NORMAL, nowMs = 0): void {
  expect(queue.push(session, item, level, nowMs)).toBe(true);
}

/** Sessions of all batches in the order in which they go. */
function turns(queue: BatchQueue): number[] {
  const sessions: number[] = [];
  for (let batch = queue.next(0); batch; batch = queue.next(0)) sessions.push(batch.session);
  return sessions;
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('arrive' as const),
    session: fc.integer({ min: 1, max: 3 }),
    rows: fc.integer({ min: 1, max: 90 }),
    isBad: fc.boolean(),
    level: fc.constantFrom<Level>(URGENT, NORMAL, BACKGROUND),
    deadline: fc.option(fc.integer({ min: 0, max: 40 })),
  }),
  fc.record({ kind: fc.constant('leave' as const), item: fc.nat(59) }),
  fc.record({
    kind: fc.constant('begin' as const),
    ms: fc.integer({ min: 0, max: 5 }),
    threads: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ kind: fc.constant('end' as const), batch: fc.nat(3) }),
  fc.record({ kind: fc.constant('sweep' as const), ms: fc.integer({ min: 0, max: 20 }) }),
  fc.record({ kind: fc.constant('close' as const), session: fc.integer({ min: 1, max: 3 }) }),
);

describe('micro-batching', () => {
  it('gives every item its own scores, its error or its drop, once, under any interleaving', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const queue = queueWith(1, 2, 3);
        const [singles, running, items]: [Batch[], Batch[], Asked[]] = [[], [], []];
        let nowMs = 0;
        const begin = (threads: number): boolean => {
          const single = singles.pop();
          if (single?.items[0]!.isGone) single.items[0].drop('gone', true);
          const batch = single && !single.items[0]!.isGone ? single : queue.next(nowMs, undefined, threads);
          if (!batch) return single !== undefined;
          expect(batch.items.length === 1 || batch.rows <= MAX_BATCH_ROWS).toBe(true);
          // Of what waited, none goes to a model that has no caller any more.
          if (!single) expect(batch.items.filter((item) => item.isGone || item.deadlineMs <= nowMs)).toEqual([]);
          running.push({ ...batch, items: [...batch.items] });
          outputs.set(running.at(-1)!, fakeRun(batch));
          return true;
        };
        const outputs = new Map<Batch, ReturnType<typeof fakeRun>>();
        const end = (at: number): void => {
          const [batch] = running.splice(at % running.length, 1);
          const { output, error } = outputs.get(batch!)!;
          queue.measured(batch!.session, batch!.rows, 1);
          for (const item of settleBatch(batch!, output, error))
            singles.push({ session: batch!.session, items: [item], rows: item.rows });
        };
        for (const each of steps) {
          if (each.kind === 'arrive') {
            const item = new Asked(items.length + 1, each.rows, each.isBad);
            if (each.deadline !== null) item.deadlineMs = nowMs + each.deadline;
            items.push(item);
            if (!queue.push(each.session, item, each.level, nowMs)) item.settle('closed', new Float32Array(0), 0);
          } else if (each.kind === 'leave') {
            const item = items[each.item];
            if (item) item.isGone = true;
          } else if (each.kind === 'begin') {
            nowMs += each.ms;
            begin(each.threads);
          } else if (each.kind === 'end') {
            if (running.length > 0) end(each.batch);
          } else if (each.kind === 'sweep') {
            nowMs += each.ms;
            queue.sweep(nowMs);
            for (const batch of running) sweepTaken(batch, nowMs, true);
          } else for (const item of queue.close(each.session)) item.settle('closed', new Float32Array(0), 0);
        }
        while (begin(1) || running.length > 0) while (running.length > 0) end(0);
        expect([queue.foregroundRows, queue.backgroundRows]).toEqual([0, 0]);
        for (const item of items) {
          expect(item.settled).toBe(1);
          const own = item.isBad ? 'bad row' : Array.from({ length: item.rows }, (_, row) => 2 * (item.id * 100 + row));
          const others = ['closed'];
          if (item.isGone) others.push('gone', 'gone in inference');
          if (item.deadlineMs < Infinity) others.push('deadline', 'deadline in inference');
          if (!others.includes(item.outcome as string)) expect(item.outcome).toEqual(own);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('lets callers go before comparisons, and a comparison at least every fifth time', () => {
    const queue = queueWith(1, 2);
    for (let id = 0; id < 20; id += 1) push(queue, 1, new Asked(id, MAX_BATCH_ROWS));
    for (let id = 20; id < 23; id += 1) push(queue, 2, new Asked(id, MAX_BATCH_ROWS), BACKGROUND);
    expect(turns(queue).slice(0, 15)).toEqual([1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2]);
  });

  it('lets urgent callers go first, and starves no level', () => {
    const queue = queueWith(1, 2, 3);
    for (let id = 0; id < 12; id += 1) push(queue, 3, new Asked(id, MAX_BATCH_ROWS), BACKGROUND);
    for (let id = 0; id < 12; id += 1) push(queue, 2, new Asked(id, MAX_BATCH_ROWS), NORMAL);
    for (let id = 0; id < 12; id += 1) push(queue, 1, new Asked(id, MAX_BATCH_ROWS), URGENT);
    expect(turns(queue).slice(0, 12)).toEqual([1, 1, 1, 1, 2, 3, 1, 1, 1, 1, 2, 3]);
  });

  it('takes turns between the sessions that wait', () => {
    const queue = queueWith(1, 2, 3);
    for (let id = 0; id < 6; id += 1) push(queue, 1 + (id % 3), new Asked(id, MAX_BATCH_ROWS));
    expect(turns(queue)).toEqual([1, 2, 3, 1, 2, 3]);
  });

  it('shares time and not turns, so that a quick model does not wait for each turn of a slow one', () => {
    const queue = queueWith(1, 2);
    for (let time = 0; time < 2; time += 1) {
      queue.measured(1, MAX_BATCH_ROWS, 400);
      queue.measured(2, MAX_BATCH_ROWS, 100);
    }
    for (let id = 0; id < 20; id += 1) push(queue, 1 + (id % 2), new Asked(id, MAX_BATCH_ROWS));
    expect(turns(queue).slice(0, 10)).toEqual([1, 2, 2, 2, 2, 1, 2, 2, 2, 2]);
  });

  it('knows how long what comes would wait', () => {
    const queue = queueWith(1, 2);
    for (let time = 0; time < 2; time += 1) {
      queue.measured(1, 10, 100);
      queue.measured(2, 10, 10);
    }
    for (let id = 0; id < 5; id += 1) push(queue, 1, new Asked(id, 10));
    push(queue, 2, new Asked(5, 20));
    // 500 ms and 20 ms of work; the quick session waits for as much of the other as it has itself.
    expect(queue.waitMs(1, NORMAL, 1)).toBe(520);
    expect(queue.waitMs(2, NORMAL, 1)).toBe(40);
    expect(queue.waitMs(2, NORMAL, 2)).toBe(20);
    push(queue, 1, new Asked(6, 3), URGENT);
    expect(queue.waitMs(2, NORMAL, 1)).toBe(70);
    expect(queue.waitMs(1, URGENT, 1)).toBe(30);
  });

  it('believes no single slow batch, and many', () => {
    const queue = queueWith(1);
    for (let time = 0; time < 20; time += 1) queue.measured(1, 1, 1);
    queue.measured(1, 1, 10_000);
    for (let id = 0; id < 10; id += 1) push(queue, 1, new Asked(id, 1));
    expect(queue.waitMs(1, NORMAL, 1)).toBeLessThan(20);
    for (let time = 0; time < 30; time += 1) queue.measured(1, 1, 100);
    expect(queue.waitMs(1, NORMAL, 1)).toBeGreaterThan(800);
  });

  it('spreads work worth a turn over the threads that are free', () => {
    const queue = queueWith(1, 2);
    for (let time = 0; time < 2; time += 1) {
      queue.measured(1, 1, 5);
      queue.measured(2, 1, 0.01);
    }
    for (let id = 0; id < 8; id += 1) push(queue, 1, new Asked(id, 1));
    expect(queue.next(0, undefined, 2)!.rows).toBe(4);
    expect(queue.next(0, undefined, 1)!.rows).toBe(4);
    for (let id = 0; id < 8; id += 1) push(queue, 2, new Asked(id, 1));
    expect(queue.next(0, undefined, 2)!.rows).toBe(8);
  });

  it('takes more rows at once of a model that is quick, and up to its limit', () => {
    const rowsAt = (msPerRow: number, limit: number): number => {
      const queue = new BatchQueue();
      queue.open(1, { maxRows: limit, windowMs: 0 });
      for (let batch = 0; batch < 10; batch += 1) queue.measured(1, 10, 10 * msPerRow);
      for (let id = 0; id < 500; id += 1) push(queue, 1, new Asked(id, 1));
      return queue.next(0)!.rows;
    };
    expect([rowsAt(0.001, 256), rowsAt(0.001, 32), rowsAt(0.03125, 256), rowsAt(5, 256)]).toEqual([256, 32, 128, 64]);
    const unknown = queueWith(1);
    for (let id = 0; id < 500; id += 1) push(unknown, 1, new Asked(id, 1));
    expect(unknown.next(0)!.rows).toBe(64);
  });

  it('holds nothing for company that it could not take', () => {
    const queue = new BatchQueue();
    queue.open(1, { maxRows: 256, windowMs: 50 });
    for (let batch = 0; batch < 10; batch += 1) queue.measured(1, 64, 64 * 0.6);
    for (let id = 0; id < 100; id += 1) push(queue, 1, new Asked(id, 1));
    expect(queue.next(0)?.rows).toBe(64);
  });

  it('leaves a batch whole when its parts would take as long', () => {
    const taken = (msOf: (rows: number) => number): number => {
      const queue = queueWith(1);
      for (let time = 0; time < 40; time += 1) queue.measured(1, 1 + (time % 16), msOf(1 + (time % 16)));
      for (let id = 0; id < 8; id += 1) push(queue, 1, new Asked(id, 1));
      return queue.next(0, undefined, 2)!.rows;
    };
    expect(taken((rows) => 5 * rows)).toBe(4);
    expect(taken((rows) => 5 + 0.1 * rows)).toBe(8);
  });

  it('holds a batch for company no longer than its window, than one inference, or than anybody is expected', () => {
    const held = (windowMs: number, inferenceMs: number, everyMs: number): number => {
      const queue = new BatchQueue();
      queue.open(1, { maxRows: 4, windowMs });
      for (let time = 0; time < 5; time += 1) queue.measured(1, 1, inferenceMs);
      for (let id = 0; id < 20; id += 1) {
        push(queue, 1, new Asked(id, 4), NORMAL, 1_000 + id * everyMs);
        expect(queue.next(1_000 + id * everyMs)!.rows).toBe(4);
      }
      const nowMs = 1_000 + 20 * everyMs;
      push(queue, 1, new Asked(9, 1), NORMAL, nowMs);
      if (queue.next(nowMs)) return 0;
      const untilMs = queue.holdsUntilMs;
      expect(queue.next(untilMs)!.rows).toBe(1);
      return untilMs - nowMs;
    };
    expect(held(0, 8, 1)).toBe(0);
    expect(held(5, 8, 1)).toBe(5);
    expect(held(5, 2, 1)).toBeCloseTo(2, 9);
    expect(held(5, 8, 500)).toBe(0);
  });

  it('hands back what waits for a session that ends', () => {
    const queue = queueWith(1, 2);
    push(queue, 1, new Asked(1, 5));
    push(queue, 1, new Asked(2, 7), BACKGROUND);
    push(queue, 2, new Asked(3, 1));
    expect(queue.close(1).map((item) => (item as Asked).id)).toEqual([1, 2]);
    expect([queue.foregroundRows, queue.backgroundRows, queue.next(0)?.session, queue.next(0)]).toEqual([
      1,
      0,
      2,
      null,
    ]);
    expect(queue.push(1, new Asked(4, 1), NORMAL, 0)).toBe(false);
  });

  it('tells a single item when the model gives another number of scores', () => {
    const item = new Asked(1, 3);
    settleBatch({ session: 1, items: [item], rows: 3 }, new Float32Array(2), null);
    expect(item.outcome).toBe('the model gave 2 values for 3 rows');
  });
});

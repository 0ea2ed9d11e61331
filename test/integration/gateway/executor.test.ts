import { writeFileSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { join } from 'node:path';
import { streamOf } from '../../../infra/onnx/random';
import { Executor } from '../../../workers/gateway/execution/executor';
import { BACKGROUND, NORMAL, URGENT } from '../../../workers/gateway/execution/batch-queue';
import type { BatchItem } from '../../../workers/gateway/execution/batching';
import { ThreadPool } from '../../../workers/gateway/execution/thread-pool';
import { temporaryFolder } from '../../support/temporary-folder';
import { failingModel, inputSignature, linearModel, slowModel } from './models';

const LIMIT = 1_000;
const folder = temporaryFolder('executor');
let executor: Executor;

beforeEach(() => {
  executor = new Executor({
    threads: 1,
    maxWaitMs: 60_000,
    maxQueuedRows: 100_000,
    maxBackgroundRows: 100_000,
    onBatchSettled: () => undefined,
    onThreadLost: () => undefined,
  });
});
afterEach(() => executor.close());
afterAll(() => folder.remove());

function load(name: string, model: ReturnType<typeof linearModel>): Promise<number> {
  const path = join(folder.path, `${name}.onnx`);
  writeFileSync(path, model.onnx);
  return executor.load(path, model.signature);
}

/** What `submit` gave each item: its scores, or the error. */
function ask(session: number, values: readonly number[], level = NORMAL): Promise<number[] | string> {
  return new Promise((resolve) => {
    const item: BatchItem = {
      columns: [[...values]],
      rows: values.length,
      deadlineMs: Infinity,
      isGone: false,
      settle: (error, scores, offset) =>
        resolve(error === null ? [...scores.slice(offset, offset + values.length)] : String(error)),
      drop: (reason) => resolve(reason),
    };
    if (level === BACKGROUND) executor.submitBackground(session, item);
    else executor.submit(session, item, level as typeof NORMAL);
  });
}

describe('an executor whose sessions share a thread', () => {
  it('gives every item the scores of its own model, when batches of several go together and rows of one fail', async () => {
    const sent = jest.spyOn(ThreadPool.prototype, 'run');
    const [twice, plus, failing] = [
      await load('twice', linearModel(2, 0)),
      await load('plus', linearModel(1, 7)),
      await load('failing', failingModel(LIMIT, 0)),
    ];
    const right = new Map([
      [twice, (value: number) => 2 * value],
      [plus, (value: number) => value + 7],
      [failing, (value: number) => value],
    ]);
    const random = streamOf(5);
    const sessions = [twice, plus, failing];
    for (let wave = 0; wave < 60; wave += 1) {
      const asked = Array.from({ length: 30 }, async () => {
        const session = sessions[Math.floor(random() * 3)]!;
        const isBad = session === failing && random() < 0.1;
        const values = Array.from({ length: 1 + Math.floor(random() * 4) }, () => Math.floor(random() * LIMIT));
        if (isBad) values[values.length - 1] = LIMIT + 1;
        const level = [URGENT, NORMAL, BACKGROUND][Math.floor(random() * 3)]!;
        const answer = await ask(session, values, level);
        if (isBad) expect(typeof answer).toBe('string');
        else expect(answer).toEqual(values.map(right.get(session)!));
      });
      await Promise.all(asked);
    }
    expect(sent.mock.calls.some(([, batches]) => new Set(batches.map(({ session }) => session)).size > 1)).toBe(true);
    sent.mockRestore();
  }, 60_000);

  it('sends no slow model along with a quick one', async () => {
    const [quick, slow] = [await load('quick', linearModel(2, 0)), await load('slow', slowModel(256, 8))];
    for (let known = 0; known < 8; known += 1) await Promise.all([ask(quick, [1]), ask(slow, [1])]);
    const sent = jest.spyOn(ThreadPool.prototype, 'run');
    for (let wave = 0; wave < 10; wave += 1)
      await Promise.all([ask(quick, [1]), ask(slow, [1], BACKGROUND), ask(quick, [2])]);
    expect(sent.mock.calls.map(([, batches]) => new Set(batches.map(({ session }) => session)).size)).not.toContain(2);
    sent.mockRestore();
  }, 60_000);

  it('answers what waited behind a batch with which the thread was lost', async () => {
    const [twice, plus] = [await load('lost-twice', linearModel(2, 0)), await load('lost-plus', linearModel(1, 7))];
    for (let known = 0; known < 8; known += 1) await Promise.all([ask(twice, [1]), ask(plus, [1])]);
    const run = Object.getOwnPropertyDescriptor(ThreadPool.prototype, 'run')!.value as ThreadPool['run'];
    let behind = 0;
    const sent = jest.spyOn(ThreadPool.prototype, 'run').mockImplementation(function (
      this: ThreadPool,
      thread,
      batches,
      runs,
    ) {
      if (batches.length < 2) return run.call(this, thread, batches, runs);
      sent.mockRestore();
      behind = batches[1]!.session;
      run.call(this, thread, batches, []);
      void (thread as unknown as { worker: Worker }).worker.terminate();
    });
    for (let wave = 0; behind === 0; wave += 1) {
      const [first, second] = await Promise.all([ask(twice, [wave]), ask(plus, [wave])]);
      if (behind === 0) expect([first, second]).toEqual([[2 * wave], [wave + 7]]);
      else if (behind === plus) expect([typeof first, second]).toEqual(['string', [wave + 7]]);
      else expect([first, typeof second]).toEqual([[2 * wave], 'string']);
    }
  }, 60_000);

  it('takes many float inputs as one tensor, and other inputs beside it', async () => {
    const inputs = ['distance', 'a', 'b', 'c'].map((name) => inputSignature(name));
    const whole = inputSignature('whole', { type: 'integer', datatype: 'INT64' });
    const session = await load('wide', linearModel(3, 1, [whole, ...inputs]));
    const columns = [
      [5, 6],
      [10, 20],
      [0, 0],
      [1, 1],
      [2, 2],
    ];
    expect([...(await executor.score(session, columns, 2))]).toEqual([31, 61]);
  });
});

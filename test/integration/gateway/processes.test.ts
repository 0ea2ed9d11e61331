import { Agent, request } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { BatchItem } from '../../../workers/gateway/execution/batching';
import { Executor } from '../../../workers/gateway/execution/executor';
import { serveLocalModel } from '../../../workers/gateway/local-model';
import { GatewayFixture, inferBody, post, ready, until } from './fixture';
import { failingModel, linearModel, signatureWith } from './models';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'slipway-processes-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function modelFile(model: { onnx: Uint8Array }): string {
  const path = join(folder, 'model.onnx');
  writeFileSync(path, model.onnx);
  return path;
}

describe('the executor', () => {
  const lost: string[] = [];
  const executors: Executor[] = [];
  const start = (threads: number): Executor => {
    const executor = new Executor({
      threads,
      maxQueuedRows: 1_000,
      maxBackgroundRows: 10,
      onBatchSettled: () => undefined,
      onThreadLost: (reason) => lost.push(reason),
    });
    executors.push(executor);
    return executor;
  };
  afterEach(async () => {
    for (const executor of executors.splice(0)) await executor.close();
  });

  it('gives a bad row its error and its neighbours their scores', async () => {
    const model = failingModel(100, 7);
    const executor = start(2);
    const session = await executor.load(modelFile(model), model.signature);
    const asked = Array.from({ length: 200 }, (_, index) => (index % 10 === 3 ? 500 : index % 90));
    const settled = await Promise.allSettled(asked.map((distance) => executor.score(session, [[distance]], 1)));
    expect(settled.map((each) => (each.status === 'fulfilled' ? each.value[0] : 'failed'))).toEqual(
      asked.map((distance) => (distance === 500 ? 'failed' : distance + 7)),
    );
  });

  it('starts a thread that died again with its sessions and finishes what it was working on', async () => {
    const model = linearModel(2, 0);
    const executor = start(1);
    const session = await executor.load(modelFile(model), model.signature);
    const { threads } = (executor as unknown as { pool: { threads: { worker: Worker }[] } }).pool;
    const asked = Array.from({ length: 300 }, (_, index) => executor.score(session, [[index]], 1));
    await threads[0]!.worker.terminate();
    expect((await Promise.all(asked)).map((scores) => scores[0])).toEqual(
      Array.from({ length: 300 }, (_, index) => 2 * index),
    );
    expect(lost).toEqual(['the thread ended with code 1']);
  });

  it('refuses a file that is no model, and rows beyond its queue', async () => {
    const executor = start(1);
    const path = join(folder, 'broken.onnx');
    writeFileSync(path, 'not a model');
    await expect(executor.load(path, signatureWith([]))).rejects.toMatchObject({ code: 'MODEL_UNREADABLE' });
    const model = linearModel(2, 0);
    const session = await executor.load(modelFile(model), model.signature);
    const rows = 1_000;
    const scores: (number | undefined)[] = [];
    const item = (): BatchItem => ({
      columns: [Array<number>(rows).fill(1)],
      rows,
      deadlineMs: Infinity,
      isGone: false,
      settle: (_error, output, offset) => void scores.push(output[offset + rows - 1]),
      drop: () => undefined,
    });
    expect(executor.submit(session, item())).toBe(0);
    expect(executor.submit(session, item())).toBeGreaterThan(0);
    await until(() => scores.length > 0, 'the first is scored');
    expect(executor.submit(session, item())).toBe(0);
    await until(() => scores.length > 1, 'there is room again');
    expect(scores).toEqual([2, 2]);
  });
});

describe('a local model', () => {
  it('is served without store and signatures by the same path', async () => {
    const model = linearModel(2, 1);
    const local = await serveLocalModel({ onnxPath: modelFile(model), signature: model.signature, port: 0 });
    const answer = await post(local.url, inferBody([1, 2], { id: 'x' }), {}, local.model);
    const metadata = (await (await fetch(`${local.url}/v2/models/local/model`)).json()) as {
      inputs: { name: string; parameters: { unit: string } }[];
    };
    await local.close();
    expect([answer.status, answer.body.outputs[0]!.data]).toEqual([200, [3, 5]]);
    expect([metadata.inputs[0]!.name, metadata.inputs[0]!.parameters.unit]).toEqual(['distance', 'mi']);
    await expect(fetch(`${local.url}/v2`)).rejects.toThrow();
  });
});

describe('draining', () => {
  it('answers what it has taken and does not wait for idle connections', async () => {
    const fixture = new GatewayFixture();
    await fixture.route(await fixture.release(linearModel(1, 1)));
    const gateway = await fixture.start();
    await ready(gateway);
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const ask = (): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = request(
          `${gateway.url}/v2/models/flights/late-arrival/infer`,
          { method: 'POST', agent },
          (response) => {
            response.resume();
            response.on('end', () => resolve(response.statusCode!));
          },
        );
        sent.on('error', reject);
        sent.end(inferBody([1]));
      });
    await Promise.all(Array.from({ length: 16 }, ask));
    let answered = 0;
    const asked = Array.from({ length: 16 }, () => ask().then((status) => (answered += status === 200 ? 1 : 0)));
    await until(() => answered > 0, 'under way');
    const startedMs = performance.now();
    await fixture.stop(gateway);
    await Promise.all(asked);
    agent.destroy();
    expect(answered).toBe(16);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    await fixture.dispose();
  });
});

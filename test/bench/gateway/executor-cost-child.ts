import { readFileSync } from 'node:fs';
import type { Signature } from '../../../workflows/domain/release';
import { Executor } from '../../../workers/gateway/execution/executor';
import type { Row } from './workload';

/**
 * What inference alone costs in the gateway's executor: packing, the way to the thread and back, ONNX Runtime. As many single rows are
 * under way as the load has connections. executor-cost-child <model> <JSON of {signature, rows}> <seconds>. Prints µs of CPU a row.
 */
const [model, setupFile, seconds] = process.argv.slice(2) as [string, string, string];
const { signature, rows } = JSON.parse(readFileSync(setupFile, 'utf8')) as { signature: Signature; rows: Row[] };
const CALLERS = 32;

async function main(): Promise<void> {
  const executor = new Executor({
    threads: 1,
    maxQueuedRows: 8_192,
    maxBackgroundRows: 0,
    onBatchSettled: () => undefined,
    onThreadLost: (reason) => {
      throw new Error(reason);
    },
  });
  const session = await executor.load(model, signature);
  const columns = rows.map((row) => row.map((value) => [value]));
  const scoreFor = async (ms: number): Promise<number> => {
    let scored = 0;
    const endMs = performance.now() + ms;
    const caller = async (first: number): Promise<void> => {
      for (let at = first; performance.now() < endMs; at += 1, scored += 1)
        await executor.score(session, columns[at % columns.length]!, 1);
    };
    await Promise.all(Array.from({ length: CALLERS }, (_, index) => caller(index)));
    return scored;
  };
  await scoreFor(1_000);
  const before = process.cpuUsage();
  const scored = await scoreFor(Number(seconds) * 1_000);
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(`${(user + system) / scored}\n`);
  await executor.close();
}

void main().then(() => process.exit(0));

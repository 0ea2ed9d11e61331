import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkAnswers } from '../answers';
import type { BenchContext } from '../bench-context';
import { calibrateModel } from '../calibrated-model';
import { machineShares, readMachine } from '../cpu-accounting';
import { startGatewayProcess } from '../gateway-process';
import { FEW_CONNECTIONS } from '../load';
import { measureInTurns } from '../measure';
import { atLeast, figure, spreadText, type SectionReport } from '../report';
import { writeRequests, type Requests } from '../request-file';
import { Running } from '../running';
import { scaled } from '../statistics';
import { DISTANCE_SIGNATURE, featureBody, rowCostModel } from '../workload';

const MODEL = 'bench/five-ms';
const MODEL_MS = 5;
const LIMIT = 1.7;
const THREADS = [1, 2] as const;
const LOOK_MS = 2_000;
/** Cores that nobody else uses, below which two threads cannot give what is asked. */
const NEEDED_CORES = 1.9;

const DISTANCES = [1, 2, 3, 5, 8].map((distance) => [distance]);
const REQUESTS: Requests = {
  path: `/v2/models/${MODEL}/infer`,
  headers: { 'Content-Type': 'application/json' },
  bodies: DISTANCES.map((row) => featureBody(['distance'], [row])),
};
const nameOf = (threads: number): string => `${threads} inference thread${threads === 1 ? '' : 's'}`;

/** Throughput of two inference threads against one. A row costs the same in a batch as alone, so batching does not hide the threads. */
export function measureThreads(context: BenchContext): Promise<SectionReport> {
  return Running.during(async (running) => {
    const { onnx, tookMs } = await calibrateModel(rowCostModel, MODEL_MS);
    const fixture = running.fixture();
    await fixture.route(await fixture.release({ onnx, signature: DISTANCE_SIGNATURE }, undefined, MODEL));
    const requestFile = writeRequests(join(context.folder, 'threads.requests'), REQUESTS);
    const contenders = [];
    for (const threads of THREADS) {
      const server = await running.server(
        startGatewayProcess(fixture, { id: `bench-threads-${threads}`, models: [MODEL], threads }),
      );
      const expected = DISTANCES;
      await checkAnswers({
        name: 'gateway',
        origin: server.origin,
        requests: REQUESTS,
        expected,
        times: 4,
        inFlight: FEW_CONNECTIONS,
      });
      contenders.push({ ...server, name: nameOf(threads), requestFile, connections: FEW_CONNECTIONS });
    }
    const freeCores = await measureFreeCores();
    const rounds = await measureInTurns(context, contenders);
    const line = atLeast(
      'throughput of two threads against one',
      rounds.ratio(nameOf(2), nameOf(1), 'perSecond'),
      LIMIT,
    );
    const isCrowded = freeCores < NEEDED_CORES;
    return {
      id: 'd',
      title: 'Two inference threads',
      table: {
        head: ['gateway', 'CPU ms a request', 'requests/s', 'p99 ms'],
        rows: THREADS.map((threads) => [
          nameOf(threads),
          spreadText(scaled(rounds.spread(nameOf(threads), 'cpuUs'), 1 / 1_000)),
          spreadText(rounds.spread(nameOf(threads), 'perSecond')),
          spreadText(scaled(rounds.spread(nameOf(threads), 'p99Us'), 1 / 1_000)),
        ]),
      },
      lines: [isCrowded ? { ...line, note: 'fewer than two cores were free' } : line],
      remarks: [
        `The model took ${figure(tookMs)} ms a row by direct inference; ${context.load.name}, but with ${FEW_CONNECTIONS} connections.`,
        `Before, ${figure(freeCores)} of ${availableParallelism()} cores were free${isCrowded ? '; the line asks for two' : ''}.`,
      ],
    };
  });
}

async function measureFreeCores(): Promise<number> {
  const before = readMachine();
  await sleep(LOOK_MS);
  return machineShares(before, readMachine()).idle * availableParallelism();
}

import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkAnswers } from '../answers';
import type { BenchContext } from '../bench-context';
import { calibrateModel } from '../calibrated-model';
import { startGatewayProcess } from '../gateway-process';
import { FEW_CONNECTIONS } from '../load';
import { atMost, figure, type SectionReport } from '../report';
import { writeRequests, type Requests } from '../request-file';
import { Running } from '../running';
import { quantile, spreadOf } from '../statistics';
import { batchCostModel, DISTANCE_SIGNATURE, featureBody } from '../workload';

const MODEL = 'bench/slow';
const MODEL_MS = 500;
const LIMIT_MS = 50;
const LOOK_EVERY_MS = 20;
/** Several inferences of the slow model. */
const LEAST_SECONDS = 4;

const DISTANCES = [1, 2, 3, 5, 8].map((distance) => [distance]);
const REQUESTS: Requests = {
  path: `/v2/models/${MODEL}/infer`,
  headers: { 'Content-Type': 'application/json' },
  bodies: DISTANCES.map((row) => featureBody(['distance'], [row])),
};

interface Round {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly looks: number;
  /** Inferences that were answered; the rest was refused, as a caller that would wait for too long is. */
  readonly perSecond: number;
  readonly refusedShare: number;
}

/** How long `/v2/health/live` takes while every connection of the load waits for a model of half a second. */
export function measureLiveness(context: BenchContext): Promise<SectionReport> {
  return Running.during(async (running) => {
    const { onnx, tookMs } = await calibrateModel(batchCostModel, MODEL_MS);
    const fixture = running.fixture();
    await fixture.route(await fixture.release({ onnx, signature: DISTANCE_SIGNATURE }, undefined, MODEL));
    const server = await running.server(startGatewayProcess(fixture, { id: 'bench-slow', models: [MODEL] }));
    const expected = DISTANCES;
    await checkAnswers({
      name: 'gateway',
      origin: server.origin,
      requests: REQUESTS,
      expected,
      times: 1,
      inFlight: 1,
    });
    const file = writeRequests(join(context.folder, 'liveness.requests'), REQUESTS);
    const rounds: Round[] = [];
    while (rounds.length < context.options.rounds) {
      rounds.push(await measureRound(context, server.origin, file));
      context.say(`  round ${rounds.length}: p99 ${rounds.at(-1)!.p99Ms.toFixed(1)} ms`);
    }
    return report(context, rounds, tookMs);
  });
}

async function measureRound({ load, options }: BenchContext, origin: string, file: string): Promise<Round> {
  const seconds = Math.max(LEAST_SECONDS, options.seconds);
  const isDone = new AbortController();
  const looks = look(`${origin}/v2/health/live`, isDone.signal);
  const result = await load.run(origin, file, seconds, FEW_CONNECTIONS).finally(() => isDone.abort());
  const tookMs = await looks;
  if (result.broken > 0) throw new Error(`${result.broken} requests broke`);
  return {
    p50Ms: quantile(tookMs, 0.5),
    p99Ms: quantile(tookMs, 0.99),
    maxMs: quantile(tookMs, 1),
    looks: tookMs.length,
    perSecond: (result.requests - result.badStatus) / result.seconds,
    refusedShare: result.badStatus / result.requests,
  };
}

async function look(url: string, signal: AbortSignal): Promise<number[]> {
  const agent = new Agent({ keepAlive: true });
  const tookMs: number[] = [];
  while (!signal.aborted) {
    const startedMs = performance.now();
    await new Promise<void>((resolve, reject) => {
      get(url, { agent }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`live answers ${response.statusCode}`));
        response.resume();
        response.once('end', resolve);
      }).once('error', reject);
    });
    tookMs.push(performance.now() - startedMs);
    await sleep(LOOK_EVERY_MS);
  }
  agent.destroy();
  return tookMs;
}

function report({ load }: BenchContext, rounds: readonly Round[], modelMs: number): SectionReport {
  const of = (what: keyof Round): number => spreadOf(rounds.map((round) => round[what])).median;
  return {
    id: 'c',
    title: 'Liveness beside a slow model',
    table: {
      head: ['looks a round', 'live p50 ms', 'live p99 ms', 'live max ms', 'inferences/s', 'refused'],
      rows: [
        [
          figure(of('looks')),
          figure(of('p50Ms')),
          figure(of('p99Ms')),
          figure(of('maxMs')),
          figure(of('perSecond')),
          `${figure(of('refusedShare') * 100)} %`,
        ],
      ],
    },
    lines: [atMost('slowest look of a round', spreadOf(rounds.map(({ maxMs }) => maxMs)), LIMIT_MS, ' ms')],
    remarks: [
      `The model took ${figure(modelMs)} ms by direct inference; ${load.name}, but with ${FEW_CONNECTIONS} connections; one look every ${LOOK_EVERY_MS} ms. wrk asks again at once when it is refused.`,
    ],
  };
}

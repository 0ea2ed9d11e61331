import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReleaseRef } from '../../../../workflows/domain/release';
import type { GatewayFixture } from '../../../integration/gateway/fixture';
import { directScores } from '../answers';
import type { BenchContext } from '../bench-context';
import { startGatewayProcess } from '../gateway-process';
import type { LoadResult } from '../load';
import { atMost, figure, spreadText, type SectionReport } from '../report';
import { writeRequests, type Requests } from '../request-file';
import { Running } from '../running';
import { ratiosOf, scaled, spreadOf } from '../statistics';
import { bodyWithId, featureBody, featureModel, featureNames, rowsOfWidth, signatureOfWidth } from '../workload';

const WIDTH = 30;
const MODEL = 'bench/swap';
const SIGNATURE = signatureOfWidth(WIDTH);
const ROWS = rowsOfWidth(WIDTH);
const SWAPS_A_ROUND = 3;
const LIMIT = 2;
const TOLERANCE = 1e-5;

const REQUESTS: Requests = {
  path: `/v2/models/${MODEL}/infer`,
  headers: { 'Content-Type': 'application/json' },
  bodies: ROWS.map((row) => featureBody(featureNames(WIDTH), [row])),
};

/** A release with weights of its own, and what it answers to the first row. */
interface Candidate {
  readonly ref: ReleaseRef;
  readonly score: number;
}

interface Round {
  readonly steady: LoadResult;
  readonly swapping: LoadResult;
  readonly checked: number;
}

/** Releases that the gateway has never seen are swapped in under load; a caller beside it holds every answer against the release it names. */
export function measureSwaps(context: BenchContext): Promise<SectionReport> {
  return Running.during(async (running) => {
    const fixture = running.fixture();
    const candidates: Candidate[] = [];
    for (let seed = 0; seed <= SWAPS_A_ROUND * context.options.rounds; seed += 1)
      candidates.push(await register(fixture, seed));
    await fixture.route(candidates[0]!.ref);
    const server = await running.server(startGatewayProcess(fixture, { id: 'bench-swap', models: [MODEL] }));
    const file = writeRequests(join(context.folder, 'swap.requests'), REQUESTS);
    await context.load.run(server.origin, file, Math.min(3, context.options.seconds));
    const rounds: Round[] = [];
    while (rounds.length < context.options.rounds) {
      const steady = await context.load.run(server.origin, file, context.options.seconds);
      const swaps = candidates.slice(1 + SWAPS_A_ROUND * rounds.length).slice(0, SWAPS_A_ROUND);
      rounds.push({ steady, ...(await swapUnderLoad(context, fixture, server.origin, file, swaps, candidates)) });
      const { swapping, checked } = rounds.at(-1)!;
      context.say(
        `  round ${rounds.length}: p99 ${(steady.p99Us / 1_000).toFixed(1)} ms steady, ${(swapping.p99Us / 1_000).toFixed(1)} ms swapping; ${checked} answers checked`,
      );
    }
    return report(context, rounds);
  });
}

async function register(fixture: GatewayFixture, seed: number): Promise<Candidate> {
  const onnx = featureModel(WIDTH, 100 + seed);
  const [score] = await directScores(onnx, SIGNATURE, [ROWS[0]!]);
  return { ref: await fixture.release({ onnx, signature: SIGNATURE }, undefined, MODEL), score: score! };
}

async function swapUnderLoad(
  { load, options }: BenchContext,
  fixture: GatewayFixture,
  origin: string,
  file: string,
  swaps: readonly Candidate[],
  candidates: readonly Candidate[],
): Promise<Omit<Round, 'steady'>> {
  const isDone = new AbortController();
  const checked = checkByVersion(origin, candidates, isDone.signal);
  const swapping = load.run(origin, file, options.seconds);
  for (const { ref } of swaps) {
    await sleep((options.seconds * 1_000) / (swaps.length + 1));
    await fixture.route(ref);
  }
  const result = await swapping.finally(() => isDone.abort());
  return { swapping: result, checked: await checked };
}

/** One caller, one request after the other. Throws at the first answer that is not what the release it names gives. */
async function checkByVersion(origin: string, candidates: readonly Candidate[], signal: AbortSignal): Promise<number> {
  const scores = new Map(candidates.map(({ ref, score }) => [String(ref.version), score]));
  let checked = 0;
  for (; !signal.aborted; checked += 1) {
    const body = bodyWithId(REQUESTS.bodies[0]!, `check-${String(checked).padStart(10, '0')}`);
    const response = await fetch(`${origin}${REQUESTS.path}`, { method: 'POST', headers: REQUESTS.headers, body });
    const answer = (await response.json()) as { model_version: string; outputs: { data: number[] }[] };
    if (response.status !== 200) throw new Error(`a request failed in a swap: ${JSON.stringify(answer)}`);
    const right = scores.get(answer.model_version);
    const given = answer.outputs[0]!.data[0]!;
    if (right === undefined || Math.abs(given - right) > TOLERANCE)
      throw new Error(`version ${answer.model_version} answered ${given}; by direct inference it is ${right}`);
  }
  return checked;
}

function report({ load }: BenchContext, rounds: readonly Round[]): SectionReport {
  const p99s = (what: 'steady' | 'swapping'): number[] => rounds.map((round) => round[what].p99Us);
  const sum = (of: (round: Round) => number): number => rounds.reduce((total, round) => total + of(round), 0);
  const failed = sum(({ swapping }) => swapping.badStatus + swapping.broken);
  const row = (name: string, what: 'steady' | 'swapping'): string[] => [
    name,
    figure(spreadOf(rounds.map((round) => round[what].requests / round[what].seconds)).median),
    spreadText(scaled(spreadOf(p99s(what)), 1 / 1_000)),
    String(sum((round) => round[what].badStatus + round[what].broken)),
  ];
  return {
    id: 'f',
    title: 'Swaps under load',
    table: {
      head: ['load', 'requests/s', 'p99 ms', 'failed'],
      rows: [row('steady', 'steady'), row(`${SWAPS_A_ROUND} swaps a round`, 'swapping')],
    },
    lines: [
      { what: 'failed requests in swaps', limit: '0', measured: String(failed), isMet: failed === 0 },
      {
        ...atMost('p99 with swaps against steady', ratiosOf(p99s('swapping'), p99s('steady')), LIMIT),
        limit: `< ${LIMIT}`,
      },
    ],
    remarks: [
      `${load.name}; each swap is to a release that is new here: fetched, verified, opened in a limited child process, then swapped in.`,
      `${sum(({ checked }) => checked)} answers in swaps were held against direct inference of the release that they name.`,
    ],
  };
}

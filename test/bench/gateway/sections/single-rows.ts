import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkAnswers, directScores } from '../answers';
import type { BenchContext } from '../bench-context';
import { ECHO, startEcho } from '../echo-server';
import { adaptedModel, startGatewayProcess } from '../gateway-process';
import { measureInTurns, type Contender, type Rounds } from '../measure';
import * as peers from '../peers';
import { atMost, figure, notMeasured, spreadText, type Line, type SectionReport } from '../report';
import { writeRequests, type Requests } from '../request-file';
import { Running } from '../running';
import type { ServerProcess } from '../server-process';
import { ratiosOf, scaled } from '../statistics';
import {
  bodyWithId,
  featureBody,
  featureNames,
  matrixBody,
  matrixModel,
  rowsOfWidth,
  signatureOfWidth,
} from '../workload';

const WIDTH = 30;
const MODEL = 'bench/single';
const GATEWAY = 'Slipway gateway';
const MATRIX_ECHO = 'bare node:http echo of one matrix';
const JSON_TYPE = { 'Content-Type': 'application/json' };
const WARM_UP_TIMES = 20;

const ROWS = rowsOfWidth(WIDTH);
const OURS: Requests = {
  path: `/v2/models/${MODEL}/infer`,
  headers: JSON_TYPE,
  bodies: ROWS.map((row) => featureBody(featureNames(WIDTH), [row])),
};
const THEIRS: Requests = {
  path: peers.PEER_PATH,
  headers: JSON_TYPE,
  bodies: ROWS.map((row) => matrixBody([row])),
};

/** One row a request, V2 JSON, the same ONNX file behind every server. */
export function measureSingleRows(context: BenchContext): Promise<SectionReport> {
  return Running.during(async (running) => {
    const model = join(context.folder, 'matrix.onnx');
    writeFileSync(model, matrixModel(WIDTH, 1));
    const files = {
      ours: writeRequests(join(context.folder, 'single-rows.requests'), OURS),
      theirs: writeRequests(join(context.folder, 'single-rows-matrix.requests'), THEIRS),
    };
    const ours = await startOurs(running, context, model);
    const echo = await running.server(startEcho());
    const others = await startPeers(running, context, model, ours.expected);
    const entry = (name: string, { pid, origin }: ServerProcess, requestFile: string): Contender => ({
      name,
      pid,
      origin,
      requestFile,
    });
    const rounds = await measureInTurns(context, [
      entry(ECHO, echo, files.ours),
      entry(MATRIX_ECHO, echo, files.theirs),
      entry(GATEWAY, ours.server, files.ours),
      ...others.map(({ name, server }) => entry(name, server, files.theirs)),
    ]);
    return report(
      context,
      rounds,
      others.map(({ name }) => name),
      ours.checked,
    );
  });
}

async function startOurs(
  running: Running,
  { folder }: BenchContext,
  model: string,
): Promise<{ server: ServerProcess; expected: number[][]; checked: number }> {
  const fixture = running.fixture();
  const adapted = await adaptedModel(model, signatureOfWidth(WIDTH), folder);
  await fixture.route(await fixture.release(adapted, undefined, MODEL));
  const server = await running.server(startGatewayProcess(fixture, { id: 'bench-single', models: [MODEL] }));
  const scores = await directScores(adapted.path, adapted.signature, ROWS);
  const expected = [...scores].map((score) => [score]);
  const checked = await checkAnswers({
    name: GATEWAY,
    origin: server.origin,
    requests: OURS,
    expected,
    times: WARM_UP_TIMES,
  });
  return { server, expected, checked };
}

/** Each peer must give the scores of direct inference too: a server that computes something else is no comparison. */
async function startPeers(
  running: Running,
  { options, folder, say }: BenchContext,
  model: string,
  expected: readonly (readonly number[])[],
): Promise<{ name: string; server: ServerProcess }[]> {
  const started: { name: string; server: ServerProcess }[] = [];
  for (const peer of peers.ALL_PEERS.filter(({ family }) => options.peers.includes(family))) {
    const python = peers.peerPython(peer.family, say);
    if (python === null) {
      say(`no Python 3.11 or newer: ${peer.name} is left out`);
      continue;
    }
    const probe = bodyWithId(THEIRS.bodies[0]!, 'probe');
    const server = await running.server(peers.startPeer(peer, python, { model, folder, probe }));
    await checkAnswers({ name: peer.name, origin: server.origin, requests: THEIRS, expected, stride: 2, times: 1 });
    say(`${peer.name} is up`);
    started.push({ name: peer.name, server });
  }
  return started;
}

function report(context: BenchContext, rounds: Rounds, others: readonly string[], checked: number): SectionReport {
  const row = (name: string, echo: string): string[] => [
    name,
    spreadText(rounds.spread(name, 'cpuUs')),
    name === echo ? '1' : spreadText(rounds.ratio(name, echo, 'cpuUs')),
    figure(rounds.spread(name, 'perSecond').median),
    figure(rounds.spread(name, 'p50Us').median / 1_000),
    spreadText(scaled(rounds.spread(name, 'p99Us'), 1 / 1_000)),
  ];
  return {
    id: 'a',
    title: 'Single rows, V2 JSON',
    table: {
      head: ['server', 'CPU µs a request', 'times its echo', 'requests/s', 'p50 ms', 'p99 ms'],
      rows: [
        row(ECHO, ECHO),
        row(GATEWAY, ECHO),
        row(MATRIX_ECHO, MATRIX_ECHO),
        ...others.map((name) => row(name, MATRIX_ECHO)),
      ],
    },
    lines: linesOf(rounds),
    remarks: [
      `One ONNX file, ${WIDTH} → 64 → 2; ${context.load.name}; every request has an id of its own.`,
      `The gateway validates, routes, counts and logs; one process, one inference thread. ${checked} of its answers were held against direct inference before.`,
      'The gateway takes one tensor for each feature, so its callers send (and its echo parses) ' +
        `${OURS.bodies[0]!.after.length} bytes where the others' send one matrix in ${THEIRS.bodies[0]!.after.length}.`,
    ],
  };
}

function linesOf(rounds: Rounds): Line[] {
  const against = (name: string, limit: number, text: string): Line =>
    rounds.has(name)
      ? { ...atMost(`CPU against ${name}`, rounds.ratio(GATEWAY, name, 'cpuUs'), limit), limit: text }
      : notMeasured(`CPU against ${name}`, text, 'was not started');
  return [
    atMost('CPU of a request', rounds.spread(GATEWAY, 'cpuUs'), 100, ' µs'),
    atMost('CPU against the bare echo', rounds.ratio(GATEWAY, ECHO, 'cpuUs'), 2.2),
    against(peers.FASTAPI_TUNED, 0.4, '≤ 0.4'),
    against(peers.FASTAPI_USUAL, 1 / 9, '≤ 1/9'),
    against(peers.MLSERVER_PLAIN, 1 / 10, '≤ 1/10'),
    against(peers.MLSERVER_DEFAULT, 1 / 10, '≤ 1/10'),
    latencyLine(rounds),
  ];
}

/** Against the best of the others, round by round. */
function latencyLine(rounds: Rounds): Line {
  const others = peers.ALL_PEERS.map(({ name }) => name).filter((name) => rounds.has(name));
  const what = 'p99 against the lowest of the others';
  if (others.length === 0) return notMeasured(what, '< 1', 'no others were started');
  const ours = rounds.values(GATEWAY, 'p99Us');
  const best = ours.map((_, round) => Math.min(...others.map((name) => rounds.values(name, 'p99Us')[round]!)));
  return { ...atMost(what, ratiosOf(ours, best), 1), limit: '< 1' };
}

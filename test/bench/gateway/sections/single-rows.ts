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
const JSON_TYPE = { 'Content-Type': 'application/json' };
const WARM_UP_TIMES = 20;
const ROWS = rowsOfWidth(WIDTH);

/** How a row is written down: one tensor for each feature, as the gateway takes it, or one matrix, as the ONNX file does. */
const FORMS = {
  features: ROWS.map((row) => featureBody(featureNames(WIDTH), [row])),
  matrix: ROWS.map((row) => matrixBody([row])),
} as const;
type Form = keyof typeof FORMS;

const requestsOf = (path: string, form: Form): Requests => ({ path, headers: JSON_TYPE, bodies: FORMS[form] });
const labelOf = (name: string, form: Form): string => (form === 'features' ? name : `${name}, one matrix`);

interface Started {
  readonly name: string;
  readonly server: ServerProcess;
  readonly path: string;
  readonly forms: readonly Form[];
}

/** One row a request, V2 JSON, the same ONNX file behind every server. */
export function measureSingleRows(context: BenchContext): Promise<SectionReport> {
  return Running.during(async (running) => {
    const model = join(context.folder, 'matrix.onnx');
    writeFileSync(model, matrixModel(WIDTH, 1));
    const ours = await startOurs(running, context, model);
    const echo = { name: ECHO, server: await running.server(startEcho()), path: '/', forms: BOTH };
    const others = await startPeers(running, context, model, ours.expected);
    const contenders = [echo, ours, ...others].flatMap((started) => contendersOf(context, started));
    const rounds = await measureInTurns(context, contenders);
    return report(context, rounds, contenders, ours.checked);
  });
}

const BOTH: readonly Form[] = ['features', 'matrix'];

function contendersOf({ folder }: BenchContext, { name, server, path, forms }: Started): Contender[] {
  return forms.map((form) => {
    const file = join(folder, `single-${form}${path.replaceAll('/', '-')}.requests`);
    const requestFile = writeRequests(file, requestsOf(path, form));
    return { name: labelOf(name, form), pid: server.pid, origin: server.origin, requestFile };
  });
}

async function startOurs(
  running: Running,
  { folder }: BenchContext,
  model: string,
): Promise<Started & { readonly expected: number[][]; readonly checked: number }> {
  const fixture = running.fixture();
  const adapted = await adaptedModel(model, signatureOfWidth(WIDTH), folder);
  await fixture.route(await fixture.release(adapted, undefined, MODEL));
  const server = await running.server(startGatewayProcess(fixture, { id: 'bench-single', models: [MODEL] }));
  const expected = [...(await directScores(adapted.path, adapted.signature, ROWS))].map((score) => [score]);
  const path = `/v2/models/${MODEL}/infer`;
  const forms = (await takesMatrix(server.origin, path)) ? BOTH : BOTH.slice(0, 1);
  let checked = 0;
  for (const form of forms) {
    const requests = requestsOf(path, form);
    checked += await checkAnswers({ name: GATEWAY, origin: server.origin, requests, expected, times: WARM_UP_TIMES });
  }
  return { name: GATEWAY, server, path, forms, expected, checked };
}

async function takesMatrix(origin: string, path: string): Promise<boolean> {
  const body = bodyWithId(FORMS.matrix[0]!, 'probe');
  return (await fetch(`${origin}${path}`, { method: 'POST', headers: JSON_TYPE, body })).status === 200;
}

/** Each peer must give the scores of direct inference too: a server that computes something else is no comparison. */
async function startPeers(
  running: Running,
  { options, folder, say }: BenchContext,
  model: string,
  expected: readonly (readonly number[])[],
): Promise<Started[]> {
  const started: Started[] = [];
  for (const peer of peers.ALL_PEERS.filter(({ family }) => options.peers.includes(family))) {
    const python = peers.peerPython(peer.family, say);
    if (python === null) {
      say(`no Python 3.11 or newer: ${peer.name} is left out`);
      continue;
    }
    const probe = bodyWithId(FORMS.matrix[0]!, 'probe');
    const server = await running.server(peers.startPeer(peer, python, { model, folder, probe }));
    for (const form of BOTH) {
      const requests = requestsOf(peers.PEER_PATH, form);
      await checkAnswers({ name: peer.name, origin: server.origin, requests, expected, stride: 2, times: 1 });
    }
    say(`${peer.name} is up`);
    started.push({ name: peer.name, server, path: peers.PEER_PATH, forms: BOTH });
  }
  return started;
}

function report(
  context: BenchContext,
  rounds: Rounds,
  contenders: readonly Contender[],
  checked: number,
): SectionReport {
  const rowsOf = (form: Form): string[][] =>
    contenders
      .filter(({ name }) => name.endsWith(labelOf('', 'matrix')) === (form === 'matrix'))
      .map(({ name }) => tableRow(rounds, name, labelOf(ECHO, form)));
  return {
    id: 'a',
    title: 'Single rows, V2 JSON',
    table: {
      head: ['server', 'CPU µs a request', 'times its echo', 'requests/s', 'p50 ms', 'p99 ms'],
      rows: [...rowsOf('features'), ...rowsOf('matrix')],
    },
    lines: linesOf(rounds),
    remarks: [
      `One ONNX file, ${WIDTH} → 64 → 2; ${context.load.name}; every request has an id of its own.`,
      `The gateway validates, routes, counts and logs; one process, one inference thread. ${checked} of its answers were held against direct inference before.`,
      `A row is sent as one tensor for each feature (${FORMS.features[0]!.after.length} bytes), or as one matrix (${FORMS.matrix[0]!.after.length} bytes) ` +
        `where it is said; ${rounds.has(labelOf(GATEWAY, 'matrix')) ? 'the gateway takes both' : 'the gateway takes the first only'}.`,
    ],
  };
}

function tableRow(rounds: Rounds, name: string, echo: string): string[] {
  return [
    name,
    spreadText(rounds.spread(name, 'cpuUs')),
    name === echo ? '1' : spreadText(rounds.ratio(name, echo, 'cpuUs')),
    figure(rounds.spread(name, 'perSecond').median),
    figure(rounds.spread(name, 'p50Us').median / 1_000),
    spreadText(scaled(rounds.spread(name, 'p99Us'), 1 / 1_000)),
  ];
}

const AGAINST: readonly (readonly [peer: string, limit: number, text: string])[] = [
  [peers.FASTAPI_TUNED, 0.4, '≤ 0.4'],
  [peers.FASTAPI_USUAL, 1 / 9, '≤ 1/9'],
  [peers.MLSERVER_PLAIN, 1 / 10, '≤ 1/10'],
  [peers.MLSERVER_DEFAULT, 1 / 10, '≤ 1/10'],
];

function linesOf(rounds: Rounds): Line[] {
  // The shortest form that each takes: what is cheapest for the others may be something that the gateway does not take.
  const shortest = rounds.has(labelOf(GATEWAY, 'matrix')) ? labelOf(GATEWAY, 'matrix') : GATEWAY;
  const against = (ours: string, theirs: string, limit: number, text: string): Line =>
    rounds.has(theirs)
      ? { ...atMost(`CPU against ${theirs}`, rounds.ratio(ours, theirs, 'cpuUs'), limit), limit: text }
      : notMeasured(`CPU against ${theirs}`, text, 'was not started');
  return [
    atMost('CPU of a request', rounds.spread(GATEWAY, 'cpuUs'), 100, ' µs'),
    atMost('CPU against the bare echo', rounds.ratio(GATEWAY, ECHO, 'cpuUs'), 2.2),
    ...AGAINST.map(([peer, limit, text]) => against(GATEWAY, peer, limit, text)),
    ...AGAINST.map(([peer, limit, text]) => against(shortest, labelOf(peer, 'matrix'), limit, text)),
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

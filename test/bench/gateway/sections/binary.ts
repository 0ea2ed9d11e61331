import { join } from 'node:path';
import { checkAnswers, directScores } from '../answers';
import type { BenchContext } from '../bench-context';
import { ECHO, startEcho } from '../echo-server';
import { startGatewayProcess } from '../gateway-process';
import { measureInTurns } from '../measure';
import { atMost, figure, notMeasured, spreadText, type Line, type SectionReport } from '../report';
import { writeRequests, type Requests } from '../request-file';
import { Running } from '../running';
import type { ServerProcess } from '../server-process';
import {
  binaryBody,
  binaryMatrixBody,
  bodyWithId,
  featureModel,
  featureNames,
  ID_LENGTH,
  rowsOfWidth,
  signatureOfWidth,
} from '../workload';

const GATEWAY = 'Slipway gateway';
const UNLOGGED = 'Slipway gateway, no prediction log';
const LIMIT = 1.3;
const WARM_UP_TIMES = 20;
const WIDTH = 32;
const ROWS = 32;
const MODEL = 'bench/binary';
const SIGNATURE = signatureOfWidth(WIDTH);
const ONNX = featureModel(WIDTH, 2);

/** Bodies of 32 rows of 32 features each: 1,024 values, with others in every body. */
const BATCHES = Array.from({ length: 8 }, (_, index) =>
  rowsOfWidth(WIDTH, 8 * ROWS).slice(index * ROWS, (index + 1) * ROWS),
);
const FORMS = {
  '32 tensors of 32 rows': BATCHES.map((rows) => binaryBody(featureNames(WIDTH), rows)),
  'one matrix, 32 × 32': BATCHES.map((rows) => binaryMatrixBody(rows)),
} as const;
type Form = keyof typeof FORMS;

interface Servers {
  readonly echo: ServerProcess;
  readonly gateways: readonly (ServerProcess & { readonly name: string })[];
}

/** The binary tensor extension of V2, against a bare echo of the same body. */
export function measureBinary(context: BenchContext): Promise<SectionReport> {
  return Running.during(async (running) => {
    const servers = await startServers(running);
    const cases: { rows: readonly (readonly string[])[]; line: Line }[] = [];
    for (const form of Object.keys(FORMS) as Form[]) cases.push(await measureForm(context, servers, form));
    return {
      id: 'b',
      title: 'Binary tensors, 1,024 values',
      table: {
        head: ['body', 'server', 'CPU µs a request', 'times the echo', 'requests/s', 'p50 ms', 'p99 ms'],
        rows: cases.flatMap(({ rows }) => rows),
      },
      lines: cases.map(({ line }) => line),
      remarks: [
        'Answers are asked for in binary. The echo sends the whole body back and works nothing out; the gateway validates and scores 32 rows, and logs 1,024 inputs.',
      ],
    };
  });
}

async function startServers(running: Running): Promise<Servers> {
  const fixture = running.fixture();
  await fixture.route(await fixture.release({ onnx: ONNX, signature: SIGNATURE }, undefined, MODEL));
  const start = (id: string, hasLog: boolean): Promise<ServerProcess> =>
    running.server(startGatewayProcess(fixture, { id, models: [MODEL], hasLog }));
  const gateways = [
    { ...(await start('bench-binary', true)), name: GATEWAY },
    { ...(await start('bench-binary-unlogged', false)), name: UNLOGGED },
  ];
  return { echo: await running.server(startEcho()), gateways };
}

function requestsOf(form: Form): Requests {
  const bodies = FORMS[form];
  return {
    path: `/v2/models/${MODEL}/infer`,
    headers: {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': String(bodies[0]!.headerBytes),
    },
    bodies: bodies.map(({ body }) => body),
  };
}

async function measureForm(
  context: BenchContext,
  { echo, gateways }: Servers,
  form: Form,
): Promise<{ rows: readonly (readonly string[])[]; line: Line }> {
  const what = `CPU against the bare echo, ${form}`;
  const requests = requestsOf(form);
  const refusal = await refusalOf(gateways[0]!.origin, requests);
  if (refusal !== null) return { rows: [], line: notMeasured(what, `≤ ${LIMIT}`, `not supported yet: ${refusal}`) };
  const expected = await Promise.all(BATCHES.map(async (rows) => [...(await directScores(ONNX, SIGNATURE, rows))]));
  for (const { name, origin } of gateways)
    await checkAnswers({ name, origin, requests, expected, times: WARM_UP_TIMES });
  const requestFile = writeRequests(join(context.folder, 'binary.requests'), requests);
  const rounds = await measureInTurns(context, [
    { ...echo, name: ECHO, requestFile },
    ...gateways.map((gateway) => ({ ...gateway, requestFile })),
  ]);
  return {
    rows: [ECHO, GATEWAY, UNLOGGED].map((name) => [
      form,
      name,
      spreadText(rounds.spread(name, 'cpuUs')),
      name === ECHO ? '1' : spreadText(rounds.ratio(name, ECHO, 'cpuUs')),
      figure(rounds.spread(name, 'perSecond').median),
      figure(rounds.spread(name, 'p50Us').median / 1_000),
      figure(rounds.spread(name, 'p99Us').median / 1_000),
    ]),
    line: atMost(what, rounds.ratio(GATEWAY, ECHO, 'cpuUs'), LIMIT),
  };
}

/** Why the gateway does not take the first body; null where it does. */
async function refusalOf(origin: string, { path, headers, bodies }: Requests): Promise<string | null> {
  const body = bodyWithId(bodies[0]!, '0'.repeat(ID_LENGTH));
  const response = await fetch(`${origin}${path}`, { method: 'POST', headers, body });
  const text = await response.text();
  return response.status === 200 ? null : `${response.status} ${text.slice(0, 120)}`;
}

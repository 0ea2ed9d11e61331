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
import { binaryBody, bodyWithId, featureModel, featureNames, rowsOfWidth, signatureOfWidth } from '../workload';

const GATEWAY = 'Slipway gateway';
const LIMIT = 1.3;
const WARM_UP_TIMES = 20;

/** 1,024 values, laid out in two ways: what is paid for each tensor, and for each row, is not the same. */
const SHAPES = [
  { features: 32, rows: 32 },
  { features: 4, rows: 256 },
] as const;
type Shape = (typeof SHAPES)[number];

const titleOf = ({ features, rows }: Shape): string => `${features} features × ${rows} rows`;
const modelOf = ({ features }: Shape): string => `bench/binary-${features}`;

/** The binary tensor extension of V2, against a bare echo of the same body. */
export async function measureBinary(context: BenchContext): Promise<SectionReport> {
  const cases: { row: readonly string[] | null; line: Line }[] = [];
  for (const shape of SHAPES) cases.push(await Running.during((running) => measureShape(running, context, shape)));
  return {
    id: 'b',
    title: 'Binary tensors, 1,024 values',
    table: {
      head: ['shape', 'server', 'CPU µs a request', 'requests/s', 'p50 ms', 'p99 ms'],
      rows: cases.flatMap(({ row }) => (row ? [row.slice(0, 6), [row[0]!, ...row.slice(6)]] : [])),
    },
    lines: cases.map(({ line }) => line),
    remarks: [
      'The answers are asked for in binary too. The echo sends the whole body back, the gateway one score a row.',
    ],
  };
}

async function measureShape(
  running: Running,
  context: BenchContext,
  shape: Shape,
): Promise<{ row: readonly string[] | null; line: Line }> {
  const what = `CPU against the bare echo, ${titleOf(shape)}`;
  const ours = await startOurs(running, shape);
  if (ours.refusal !== null)
    return { row: null, line: notMeasured(what, `≤ ${LIMIT}`, `not supported yet: ${ours.refusal}`) };
  const echo = await running.server(startEcho());
  const requestFile = writeRequests(join(context.folder, `binary-${shape.features}.requests`), ours.requests);
  const rounds = await measureInTurns(context, [
    { ...echo, name: ECHO, requestFile },
    { ...ours.server, name: GATEWAY, requestFile },
  ]);
  const cells = (name: string): string[] => [
    name,
    spreadText(rounds.spread(name, 'cpuUs')),
    figure(rounds.spread(name, 'perSecond').median),
    figure(rounds.spread(name, 'p50Us').median / 1_000),
    figure(rounds.spread(name, 'p99Us').median / 1_000),
  ];
  return {
    row: [titleOf(shape), ...cells(ECHO), ...cells(GATEWAY)],
    line: atMost(what, rounds.ratio(GATEWAY, ECHO, 'cpuUs'), LIMIT),
  };
}

async function startOurs(
  running: Running,
  shape: Shape,
): Promise<{ server: ServerProcess; requests: Requests; refusal: string | null }> {
  const names = featureNames(shape.features);
  const batches = Array.from({ length: 8 }, (_, index) =>
    rowsOfWidth(shape.features, 8 * shape.rows).slice(index * shape.rows, (index + 1) * shape.rows),
  );
  const encoded = batches.map((rows) => binaryBody(names, rows));
  const requests: Requests = {
    path: `/v2/models/${modelOf(shape)}/infer`,
    headers: {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': String(encoded[0]!.headerBytes),
    },
    bodies: encoded.map(({ body }) => body),
  };
  const signature = signatureOfWidth(shape.features);
  const onnx = featureModel(shape.features, 2);
  const fixture = running.fixture();
  await fixture.route(await fixture.release({ onnx, signature }, undefined, modelOf(shape)));
  const server = await running.server(
    startGatewayProcess(fixture, { id: `bench-binary-${shape.features}`, models: [modelOf(shape)] }),
  );
  const refusal = await refusalOf(server.origin, requests);
  if (refusal !== null) return { server, requests, refusal };
  const expected = await Promise.all(batches.map(async (rows) => [...(await directScores(onnx, signature, rows))]));
  await checkAnswers({ name: GATEWAY, origin: server.origin, requests, expected, times: WARM_UP_TIMES });
  return { server, requests, refusal };
}

/** Why the gateway does not take the first body; null where it does. */
async function refusalOf(origin: string, { path, headers, bodies }: Requests): Promise<string | null> {
  const response = await fetch(`${origin}${path}`, {
    method: 'POST',
    headers,
    body: bodyWithId(bodies[0]!, '0'.repeat(16)),
  });
  if (response.status === 200) {
    await response.arrayBuffer();
    return null;
  }
  return `${response.status} ${(await response.text()).slice(0, 120)}`;
}

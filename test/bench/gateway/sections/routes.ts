import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nodeEntry } from '../../../../infra/process/node-entry';
import type { GatewayFixture } from '../../../integration/gateway/fixture';
import { checkAnswers, directScores } from '../answers';
import type { BenchContext } from '../bench-context';
import { startGatewayProcess } from '../gateway-process';
import { measureInTurns, type Rounds } from '../measure';
import { atMost, figure, spreadText, type SectionReport } from '../report';
import { writeRequests, type Requests } from '../request-file';
import { Running } from '../running';
import { scaled, spreadOf, type Spread } from '../statistics';
import { featureBody, featureModel, featureNames, rowsOfWidth, signatureOfWidth } from '../workload';

const WIDTH = 30;
const ROWS = rowsOfWidth(WIDTH);
const SIGNATURE = signatureOfWidth(WIDTH);
/** The same weights behind both releases: what differs between the arms is their route alone. */
const ONNX = featureModel(WIDTH, 3);

const SINGLE = { name: 'one arm', model: 'bench/single' };
const CANARY = { name: 'canary at 50 %', model: 'bench/canary' };
const PAIRED = { name: 'canary at 50 %, paired', model: 'bench/paired' };
const UNLOGGED = { name: 'one arm, no prediction log', model: SINGLE.model };
const ROUTES = [SINGLE, CANARY, PAIRED];

const requestsOf = (model: string): Requests => ({
  path: `/v2/models/${model}/infer`,
  headers: { 'Content-Type': 'application/json' },
  bodies: ROWS.map((row) => featureBody(featureNames(WIDTH), [row])),
});

/** What a second arm, pairs and the prediction log cost: the same rows and weights by different routes of one process. */
export function measureRoutes(context: BenchContext): Promise<SectionReport> {
  return Running.during(async (running) => {
    const fixture = running.fixture();
    for (const { model } of ROUTES) await commitRoutes(fixture, model);
    const models = ROUTES.map(({ model }) => model);
    const logged = await running.server(startGatewayProcess(fixture, { id: 'bench-routes', models }));
    const unlogged = await running.server(
      startGatewayProcess(fixture, { id: 'bench-unlogged', models: [UNLOGGED.model], hasLog: false }),
    );
    const entries = [...ROUTES.map((route) => ({ ...route, server: logged })), { ...UNLOGGED, server: unlogged }];
    const expected = [...(await directScores(ONNX, SIGNATURE, ROWS))].map((score) => [score]);
    for (const { name, model, server } of entries)
      await checkAnswers({ name, origin: server.origin, requests: requestsOf(model), expected, times: 20 });
    const rounds = await measureInTurns(
      context,
      entries.map(({ name, model, server }) => ({
        ...server,
        name,
        requestFile: writeRequests(join(context.folder, `${model.replace('/', '-')}.requests`), requestsOf(model)),
      })),
    );
    const scored = await pairsScored(logged.origin);
    return report(rounds, await measureInference(context), scored);
  });
}

async function commitRoutes(fixture: GatewayFixture, model: string): Promise<void> {
  const release = { onnx: ONNX, signature: SIGNATURE };
  const champion = await fixture.release(release, undefined, model);
  if (model === SINGLE.model) return void (await fixture.route(champion));
  const challenger = await fixture.release(release, undefined, model);
  // A lease is confirmed at every poll; it must outlast a machine that stands still for a while.
  const changes = { paired: model === PAIRED.model, challengerLeaseMs: 60_000 };
  await fixture.route(champion, { release: challenger, weight: 0.5 }, changes);
}

/** Share of the paired requests whose second score was made and not dropped, by the gateway's own counters. */
async function pairsScored(origin: string): Promise<number> {
  const text = await (await fetch(`${origin}/metrics`)).text();
  const pairs = [...text.matchAll(/^slipway_gateway_comparisons_total\{(.*)\} (\d+)$/gm)].filter(([, labels]) =>
    labels!.includes('"pair"'),
  );
  const sum = (found: typeof pairs): number => found.reduce((total, [, , count]) => total + Number(count), 0);
  return sum(pairs.filter(([, labels]) => labels!.includes('"scored"'))) / Math.max(1, sum(pairs));
}

/** CPU time of one more inference, in µs a row, in rounds of their own. */
async function measureInference({ folder, options }: BenchContext): Promise<Spread> {
  const [model, setup] = [join(folder, 'inference.onnx'), join(folder, 'inference.json')];
  writeFileSync(model, ONNX);
  writeFileSync(setup, JSON.stringify({ signature: SIGNATURE, rows: ROWS }));
  const [node, ...argv] = nodeEntry(join(__dirname, '../executor-cost-child.ts'));
  const costs: number[] = [];
  while (costs.length < options.rounds) {
    const { stdout } = await promisify(execFile)(node!, [...argv, model, setup, String(options.seconds)]);
    costs.push(Number(stdout));
  }
  return spreadOf(costs);
}

function report(rounds: Rounds, inference: Spread, scored: number): SectionReport {
  const cpu = (name: string): number[] => rounds.values(name, 'cpuUs');
  const pairCosts = cpu(PAIRED.name).map((us, round) => us - cpu(CANARY.name)[round]!);
  const percent = (name: string, reference: string): Spread => {
    const { median, min, max } = rounds.ratio(name, reference, 'cpuUs');
    return { median: (median - 1) * 100, min: (min - 1) * 100, max: (max - 1) * 100 };
  };
  return {
    id: 'e',
    title: 'Canary, pairs and prediction log',
    table: {
      head: ['route', 'CPU µs a request', 'requests/s', 'p99 ms'],
      rows: [...ROUTES, UNLOGGED].map(({ name }) => [
        name,
        spreadText(rounds.spread(name, 'cpuUs')),
        figure(rounds.spread(name, 'perSecond').median),
        spreadText(scaled(rounds.spread(name, 'p99Us'), 1 / 1_000)),
      ]),
    },
    lines: [
      atMost('a canary route over one arm', percent(CANARY.name, SINGLE.name), 3, ' %'),
      atMost('the prediction log over none', percent(SINGLE.name, UNLOGGED.name), 5, ' %'),
      {
        ...atMost('a pair against one inference', scaled(spreadOf(pairCosts), 1 / inference.median), 1),
        limit: '≤ 1 inference',
      },
    ],
    remarks: [
      `One inference by the gateway's executor, 32 rows under way: ${spreadText(inference, ' µs')} of CPU a row. ` +
        `A pair cost ${spreadText(spreadOf(pairCosts), ' µs')}; ${figure(scored * 100)} % of the pairs were scored, the rest dropped under load as documented.`,
      'Every request has a key of its own, which is the most that counting by key can cost.',
    ],
  };
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { keys } from '../../../../workflows/domain/keys';
import type { ObservationDocument } from '../../../../workflows/domain/observation';
import type { GatewayFixture } from '../../../integration/gateway/fixture';
import { checkAnswers, directScores } from '../answers';
import type { BenchContext } from '../bench-context';
import { startGatewayProcess } from '../gateway-process';
import { figure, type SectionReport } from '../report';
import { writeRequests, type Requests } from '../request-file';
import { Running } from '../running';
import { featureModel, matrixBody, rowsOfWidth, signatureOfWidth } from '../workload';

const MODEL = 'bench/endurance';
const WIDTH = 30;
const ONNX = featureModel(WIDTH, 5);
const SIGNATURE = signatureOfWidth(WIDTH);
const ROWS = rowsOfWidth(WIDTH);
const REQUESTS: Requests = {
  path: `/v2/models/${MODEL}/infer`,
  headers: { 'Content-Type': 'application/json' },
  bodies: ROWS.map((row) => matrixBody([row])),
};
/** Between two looks at the memory. */
const TURN_SECONDS = 10;
const MEBIBYTE = 1 << 20;
/** By then caches, pools and the set of keys have the size that they keep. */
const SETTLED_SHARE = 0.2;
const LIMIT = 1.1;
/** What a load saw answered may be a little less than what was: its last requests are cut off. */
const CUT_OFF_SHARE = 0.001;

interface Look {
  readonly requests: number;
  readonly rssBytes: number;
}

/** Memory of one gateway process over millions of requests, with answers held against direct inference all along. */
export function measureEndurance(context: BenchContext): Promise<SectionReport> {
  return Running.during(async (running) => {
    const fixture = running.fixture();
    await fixture.route(await fixture.release({ onnx: ONNX, signature: SIGNATURE }, undefined, MODEL));
    const server = await running.server(startGatewayProcess(fixture, { id: 'bench-endurance', models: [MODEL] }));
    const expected = [...(await directScores(ONNX, SIGNATURE, ROWS))].map((score) => [score]);
    const file = writeRequests(join(context.folder, 'endurance.requests'), REQUESTS);
    const looks: Look[] = [];
    let [requests, failed, checked, seconds] = [0, 0, 0, 0];
    while (requests < context.options.requests) {
      const asked = checkAnswers({
        ...{ name: 'gateway', origin: server.origin, requests: REQUESTS, expected },
        ...{ times: 4, inFlight: 1 },
      });
      const result = await context.load.run(server.origin, file, TURN_SECONDS);
      checked += await asked;
      requests += result.requests;
      failed += result.badStatus + result.broken;
      seconds += result.seconds;
      looks.push({ requests, rssBytes: rssOf(server.pid) });
      context.say(`  ${requests} requests, ${figure(looks.at(-1)!.rssBytes / MEBIBYTE)} MiB`);
    }
    const counted = await countedOnceStill(fixture);
    return report(looks, { requests, failed, checked, seconds, counted });
  });
}

function rssOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;
}

/** Requests in the gateway's published counts, once they do not change any more. */
async function countedOnceStill({ store }: GatewayFixture): Promise<number> {
  let before = -1;
  for (;;) {
    let counted = 0;
    for (const key of await store.list(keys.observations(MODEL, 1))) {
      const document = JSON.parse(Buffer.from((await store.get(key))!).toString()) as ObservationDocument;
      counted += document.arms?.champion?.requests ?? 0;
    }
    if (counted === before) return counted;
    before = counted;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

interface Totals {
  readonly requests: number;
  readonly failed: number;
  readonly checked: number;
  readonly seconds: number;
  readonly counted: number;
}

function report(looks: readonly Look[], { requests, failed, checked, seconds, counted }: Totals): SectionReport {
  const settled = looks.filter((look) => look.requests >= SETTLED_SHARE * requests);
  const growth = settled.at(-1)!.rssBytes / settled[0]!.rssBytes;
  const answered = requests + checked;
  const missing = Math.max(0, answered - counted);
  const shown = looks.filter((_, at) => at % Math.ceil(looks.length / 10) === 0 || at === looks.length - 1);
  return {
    id: 'g',
    title: 'Endurance',
    table: {
      head: ['requests', 'resident memory, MiB'],
      rows: shown.map((look) => [String(look.requests), figure(look.rssBytes / MEBIBYTE)]),
    },
    lines: [
      {
        what: `memory in the end against that after ${SETTLED_SHARE * 100} %`,
        limit: `≤ ${LIMIT}`,
        measured: figure(growth),
        isMet: growth <= LIMIT,
      },
      { what: 'failed requests', limit: '0', measured: String(failed), isMet: failed === 0 },
      {
        what: 'answers that are not in the counts',
        limit: '0',
        measured: String(missing),
        isMet: missing === 0 && counted - answered <= CUT_OFF_SHARE * requests,
      },
    ],
    remarks: [
      `${requests} requests in ${figure(seconds)} s (${figure(requests / seconds)} a second), each with an id of its own and logged; ${checked} more, sent beside them, were held against direct inference.`,
    ],
  };
}

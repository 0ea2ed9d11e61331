import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRORS } from '../../workflows/domain/errors';
import { GatewayFixture, inferBody, MODEL, post, ready } from '../integration/gateway/fixture';
import { linearModel } from '../integration/gateway/models';
import { Dice, type FuzzRequest, fuzzRequest } from './gateway-fuzz-requests';

export interface FuzzReport {
  readonly requests: number;
  /** Answers by status; `none` where the connection ended without one. */
  readonly byStatus: Readonly<Record<string, number>>;
  /** What must not be: another 5xx than 503, an error without a code of the catalogue, a wrong answer afterwards. */
  readonly wrong: readonly string[];
  /** Resident memory after a tenth of the requests, half of them, and all. */
  readonly rssBytes: readonly number[];
}

/** How long an answer is waited for: a request that claims more body than it has is ended by its sender. */
const PATIENCE_MS = 150;
const AT_ONCE = 24;
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** Sends malformed requests to a gateway in this process, and looks whether it still answers rightly. */
export async function fuzzGateway(requests: number, seed: number): Promise<FuzzReport> {
  const fixture = new GatewayFixture();
  try {
    await fixture.route(await fixture.release(linearModel(2, 1)));
    const gateway = await fixture.start();
    await ready(gateway);
    const run = new FuzzRun(gateway.port, seed);
    const rssBytes: number[] = [];
    for (const share of [0.1, 0.4, 0.5]) {
      await run.send(Math.round(requests * share));
      rssBytes.push(await settledMemory());
    }
    const { status, body } = await post(gateway.url, inferBody([2]));
    if (status !== 200 || body.outputs[0]?.data[0] !== 5) run.wrong.push(`a right request is answered with ${status}`);
    return { requests, byStatus: run.byStatus, wrong: run.wrong, rssBytes };
  } finally {
    await fixture.dispose();
  }
}

class FuzzRun {
  readonly byStatus: Record<string, number> = {};
  readonly wrong: string[] = [];
  private readonly dice: Dice;
  private left = 0;

  constructor(
    private readonly port: number,
    seed: number,
  ) {
    this.dice = new Dice(seed);
  }

  async send(requests: number): Promise<void> {
    this.left = requests;
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.sendSome()));
  }

  private async sendSome(): Promise<void> {
    while (this.left > 0) {
      this.left -= 1;
      const request = fuzzRequest(this.dice, MODEL);
      this.judge(request, await exchange(this.port, request));
    }
  }

  private judge({ kind, bytes }: FuzzRequest, received: string): void {
    const answer = received.replace(CONTINUE, '');
    const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 'none';
    this.byStatus[status] = (this.byStatus[status] ?? 0) + 1;
    if (status === 'none' || status < '400' || status === '417') return;
    const [head = '', body = ''] = answer.split(/\r\n\r\n(?!HTTP)/, 2);
    const code = /"code":"([A-Z_]+)"/.exec(body)?.[1] ?? '';
    const isHead = bytes.subarray(0, 4).toString() === 'HEAD';
    if (status >= '500' && status !== '503') this.note(kind, `${status} ${body}`, bytes);
    else if (!Object.hasOwn(ERRORS, code) && !isHead) this.note(kind, `${head} without a code`, bytes);
  }

  private note(kind: string, what: string, bytes: Buffer): void {
    if (this.wrong.length < 10)
      this.wrong.push(`${kind}: ${what.slice(0, 200)} to ${bytes.toString('latin1').slice(0, 600)}`);
  }
}

/** What comes back until the server closes, or until patience ends. */
function exchange(port: number, { bytes, pace }: FuzzRequest): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1');
    const limit = setTimeout(() => socket.destroy(), PATIENCE_MS * (bytes.length > 20_000 ? 20 : 1));
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(limit);
      resolve(answer);
    });
    void write(socket, bytes, pace);
  });
}

async function write(socket: Socket, bytes: Buffer, pace: FuzzRequest['pace']): Promise<void> {
  if (pace === 'whole') return void socket.write(bytes);
  const middle = Math.floor(bytes.length / 2);
  socket.write(bytes.subarray(0, middle));
  await sleep(5);
  if (pace === 'torn') socket.destroy();
  else if (!socket.destroyed) socket.write(bytes.subarray(middle));
}

/** After what the collector can free is freed; run with --expose-gc for a figure that means something. */
async function settledMemory(): Promise<number> {
  for (let times = 0; times < 5; times += 1) {
    (globalThis as { gc?: () => void }).gc?.();
    await sleep(100);
  }
  return process.memoryUsage.rss();
}

if (require.main === module) {
  const requests = Number(process.argv[2] ?? 100_000);
  const seed = Number(process.argv[3] ?? 1);
  const begunMs = Date.now();
  void fuzzGateway(requests, seed).then((report) => {
    const rssMebibytes = report.rssBytes.map((bytes) => Math.round(bytes / 1_048_576));
    const seconds = ((Date.now() - begunMs) / 1_000).toFixed(0);
    const summary = { seed, ...report, rssMebibytes, seconds };
    process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
    process.exitCode = report.wrong.length > 0 ? 1 : 0;
  });
}

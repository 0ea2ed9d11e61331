/**
 * CPU time per single-row ModelInfer of the server's process, gateway against bare grpc-js servers with the same messages, measured in turns:
 * `node --require tsx/cjs test/bench/grpc-micro.ts [rounds] [seconds]`. `bytes` gives back a message that was ready made, `objects` reads the
 * request and writes the answer with proto-loader, as Node servers usually do. The load generator is this process, so that only ratios count.
 */
import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Client, credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { decode, encode, inferenceService } from '../support/inference-proto';
import { GatewayFixture, MODEL, ready } from '../integration/gateway/fixture';
import { inputSignature, linearModel } from '../integration/gateway/models';

const SERVERS = ['bytes', 'objects', 'gateway'] as const;
const FORMS = ['typed', 'raw'] as const;
type Form = (typeof FORMS)[number];
const IN_FLIGHT = 32;
const CONNECTIONS = 4;
const WARM_UP_MS = 3_000;
const PATH = '/inference.GRPCInferenceService/ModelInfer';
const NAMES = ['distance', ...Array.from({ length: 7 }, (_, index) => `feature${index}`)];
const same = (bytes: Buffer): Buffer => bytes;

function requestOf(form: Form): Buffer {
  const raw = NAMES.map((_, index) => Buffer.from(Float32Array.of(index + 0.5).buffer));
  const contents = (index: number): object => (form === 'typed' ? { contents: { fp32_contents: [index + 0.5] } } : {});
  return encode('inference.ModelInferRequest', {
    model_name: MODEL,
    id: 'r-1',
    inputs: NAMES.map((name, index) => ({ name, datatype: 'FP32', shape: [1, 1], ...contents(index) })),
    ...(form === 'raw' ? { raw_input_contents: raw } : {}),
  });
}

const ANSWER = {
  model_name: MODEL,
  model_version: '1',
  id: 'r-1',
  parameters: {
    generation: { int64_param: 1 },
    arm: { string_param: 'champion' },
    release: { string_param: `sha256:${'0'.repeat(64)}` },
  },
  outputs: [{ name: 'score', datatype: 'FP32', shape: [1, 1], contents: { fp32_contents: [2] } }],
};

/** The child's side: listens, says where, and says its CPU time when asked. */
async function serve(kind: string): Promise<void> {
  const port = kind === 'gateway' ? await serveGateway() : await serveBare(kind === 'objects');
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send!({ cpuUs: user + system });
  });
  if (kind !== 'gateway') process.on('disconnect', () => process.exit(0));
  process.send!({ port });
}

async function serveGateway(): Promise<number> {
  const fixture = new GatewayFixture();
  await fixture.route(
    await fixture.release(
      linearModel(
        2,
        1,
        NAMES.map((name) => inputSignature(name)),
      ),
    ),
  );
  const gateway = await fixture.start({ grpcPort: 0 });
  await ready(gateway);
  process.on('disconnect', () => void fixture.dispose().then(() => process.exit(0)));
  return gateway.grpcPort!;
}

async function serveBare(withObjects: boolean): Promise<number> {
  const server = new Server({ 'grpc.enable_channelz': 0 });
  const infer = inferenceService['ModelInfer']!;
  const bytes = { ...infer, requestDeserialize: same, responseSerialize: same };
  const answer = withObjects ? ANSWER : encode('inference.ModelInferResponse', ANSWER);
  server.addService(
    { ModelInfer: withObjects ? infer : bytes },
    {
      ModelInfer: (_call: unknown, done: (error: null, answer: unknown) => void) => done(null, answer),
    },
  );
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
}

interface Running {
  readonly kind: string;
  readonly child: ChildProcess;
  readonly clients: readonly Client[];
}

async function start(kind: string): Promise<Running> {
  const child = fork(__filename, ['serve', kind], { execArgv: ['--require', require.resolve('tsx/cjs')] });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const clients = Array.from(
    { length: CONNECTIONS },
    (_, index) => new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.channel': index }),
  );
  return { kind, child, clients };
}

async function cpuUs({ child }: Running): Promise<number> {
  child.send('cpu');
  const [{ cpuUs }] = (await once(child, 'message')) as [{ cpuUs: number }];
  return cpuUs;
}

/** Requests until the time is over, `IN_FLIGHT` at a time; each answer is read once in a while. */
async function load({ clients }: Running, request: Buffer, forMs: number): Promise<number> {
  const endMs = Date.now() + forMs;
  let answered = 0;
  const one = async (client: Client): Promise<void> => {
    while (Date.now() < endMs) {
      const answer = await call(client, request);
      if (answered % 1_000 === 0) decode('inference.ModelInferResponse', answer);
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, index) => one(clients[index % clients.length]!)));
  return answered;
}

async function call(client: Client, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(PATH, same, same, request, new Metadata(), {}, (error, answer) => {
      if (error) reject(error);
      else resolve(answer!);
    });
  });
}

const median = (values: readonly number[]): number =>
  [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)]!;

async function main(rounds: number, seconds: number): Promise<void> {
  const servers = await Promise.all(SERVERS.map(start));
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  for (const form of FORMS) {
    const request = requestOf(form);
    const costs = new Map<string, number[]>(SERVERS.map((kind) => [kind, []]));
    for (const server of servers) await load(server, request, WARM_UP_MS);
    for (let round = 0; round < rounds; round += 1) {
      for (const server of servers) {
        const before = await cpuUs(server);
        const requests = await load(server, request, seconds * 1_000);
        costs.get(server.kind)!.push(((await cpuUs(server)) - before) / requests);
      }
    }
    const bare = median(costs.get('bytes')!);
    for (const [kind, values] of costs) {
      const cost = median(values);
      print(
        `${form.padEnd(6)} ${kind.padEnd(8)} ${cost.toFixed(1).padStart(7)} us of CPU a request, ${(cost / bare).toFixed(2)} of bytes`,
      );
    }
  }
  for (const { child, clients } of servers) {
    for (const client of clients) client.close();
    child.disconnect();
  }
}

const [mode, second] = process.argv.slice(2);
if (mode === 'serve') void serve(second!);
else void main(Number(mode ?? 5), Number(second ?? 4));

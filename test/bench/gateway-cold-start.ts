import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeEntry } from '../../infra/process/node-entry';
import { GatewayFixture, MODEL } from '../integration/gateway/fixture';
import { linearModel } from '../integration/gateway/models';
import { freePorts } from '../support/ports';
import { testPolicy } from '../support/workspace';

/**
 * Time from the start of a gateway process to the first 200 of a cached small model's readiness, from its sources and from its build.
 * Run: node --require tsx/cjs test/bench/gateway-cold-start.ts [rounds]
 */
const STARTS = { sources: 'main.ts', build: 'start.cjs' } as const;
const LOOK_EVERY_MS = 2;
/** Of Linux's clock ticks. */
const MS_PER_TICK = 10;

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/v2/models/${MODEL}/ready`).catch(() => null);
  return answer?.status === 200;
}

async function runToEnd(argv: readonly string[]): Promise<void> {
  await new Promise((resolve) => spawn(argv[0]!, argv.slice(1), { stdio: 'inherit' }).once('exit', resolve));
}

async function timeOne(entry: string, env: NodeJS.ProcessEnv): Promise<{ readyMs: number; cpuMs: number }> {
  const [port] = await freePorts(1);
  const [program, ...parameters] = nodeEntry(entry);
  const startedMs = performance.now();
  const child = spawn(program!, parameters, { env: { ...env, SLIPWAY_GATEWAY_PORT: String(port) }, stdio: 'inherit' });
  while (!(await isReady(port!))) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  const readyMs = performance.now() - startedMs;
  const [user, system] = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ').slice(13, 15).map(Number);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
  return { readyMs, cpuMs: (user! + system!) * MS_PER_TICK };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

async function main(rounds: number): Promise<void> {
  const gateway = join(__dirname, '../../workers/gateway');
  const fixture = new GatewayFixture();
  try {
    await fixture.route(await fixture.release(linearModel(2, 0)));
    const state = join(fixture.home, 'state');
    mkdirSync(join(state, 'dev'), { recursive: true });
    writeFileSync(join(state, 'dev', 'trust.json'), JSON.stringify(testPolicy()));
    const env = {
      ...process.env,
      SLIPWAY_STATE: state,
      SLIPWAY_STORE: `fs:${fixture.storeRoot}`,
      SLIPWAY_LOG_LEVEL: 'silent',
    };
    await runToEnd([...nodeEntry(join(gateway, STARTS.build)), '--build']);
    // The first start of all fetches and inspects the model; what is timed finds it in its folder.
    await timeOne(join(gateway, STARTS.sources), env);
    for (const [from, file] of Object.entries(STARTS)) {
      const times: { readyMs: number; cpuMs: number }[] = [];
      for (let round = 0; round < rounds; round += 1) times.push(await timeOne(join(gateway, file), env));
      const readyMs = times.map((time) => time.readyMs);
      const cpuMs = median(times.map((time) => time.cpuMs));
      const [least, most] = [Math.min(...readyMs), Math.max(...readyMs)].map(Math.round);
      process.stdout.write(
        `from its ${from}: ready after ${Math.round(median(readyMs))} ms (${least} to ${most}), ${cpuMs} ms of CPU\n`,
      );
    }
  } finally {
    await fixture.dispose();
  }
}

void main(Number(process.argv[2] ?? 7));

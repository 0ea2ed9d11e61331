import { readdirSync } from 'node:fs';
import type { ReleaseRef } from '../../workflows/domain/release';
import { assemble, type Parts } from '../../workers/gateway/assembly';
import type { GatewayOptions } from '../../workers/gateway/gateway-options';
import { cacheFolder } from '../../workers/gateway/identity';
import { GatewayFixture, inferBody, MODEL, post, until } from '../integration/gateway/fixture';
import { linearModel } from '../integration/gateway/models';

/**
 * What a gateway holds after many route swaps. Run: `node --expose-gc --require tsx/cjs test/bench/gateway-swaps.ts [swaps]`.
 * Two clocks' worth of waiting (a minute until a release is closed, two until a generation is forgotten) pass with each swap.
 */
export interface Held {
  readonly sessions: number;
  readonly releases: number;
  readonly observers: number;
  readonly files: number;
}

const SWAP_MS = 200_000;
const RELEASES = 4;

export class SwapRun {
  private readonly fixture = new GatewayFixture();
  private releases: ReleaseRef[] = [];
  private nowMs = 0;
  private parts!: Parts;
  private url = '';

  async start(): Promise<void> {
    for (let bias = 0; bias < RELEASES; bias += 1) this.releases.push(await this.fixture.release(linearModel(1, bias)));
    const options: GatewayOptions = this.fixture.options({ pollMs: 60_000, nowMs: () => this.nowMs });
    this.parts = assemble(options);
    this.url = (await this.parts.server.listen()).url;
    await this.fixture.route(this.releases[0]!);
    await this.parts.follower.start();
  }

  /** The next champion, every other time with a challenger in a rollout of its own; one request to it. */
  async swap(round: number): Promise<void> {
    const champion = this.releases[round % RELEASES]!;
    const release = this.releases[(round + 1) % RELEASES]!;
    const rollout = { id: `rollout-${round}`, step: 0 };
    const generation =
      round % 2 === 0
        ? await this.fixture.route(champion)
        : await this.fixture.route(champion, { release, weight: 0.5 }, { rollout, paired: true });
    this.nowMs += SWAP_MS;
    const { follower, observations } = this.parts;
    await until(
      async () => {
        await follower.poll();
        return follower.served(MODEL)?.route.generation === generation;
      },
      `generation ${generation}`,
      60_000,
    );
    const answer = await post(this.url, inferBody([round]));
    if (answer.status !== 200) throw new Error(JSON.stringify(answer));
    await observations.publish();
  }

  held(): Held {
    const { executor, observations, releases } = this.parts as unknown as {
      executor: { sessions: Map<number, unknown> };
      observations: { opened: unknown[] };
      releases: { size: number };
    };
    const folder = cacheFolder({ home: this.fixture.home, gateway: { id: 'gateway-1' } as never });
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return {
      sessions: executor.sessions.size,
      releases: releases.size,
      observers: observations.opened.length,
      files: entries.filter((entry) => entry.isFile() && !entry.name.includes('.parquet')).length,
    };
  }

  async stop(): Promise<void> {
    const { server, follower, inspections, service, log, observations, outbox, executor } = this.parts;
    await server.drain();
    follower.stop();
    inspections.close();
    await service.settleBackground();
    await log.close();
    await observations.close();
    outbox.stop();
    await executor.close();
    await this.fixture.dispose();
  }
}

async function main(swaps: number): Promise<void> {
  const run = new SwapRun();
  await run.start();
  const every = Math.max(1, Math.floor(swaps / 10));
  for (let round = 1; round <= swaps; round += 1) {
    await run.swap(round);
    if (round % every === 0) process.stdout.write(`${JSON.stringify({ round, ...run.held(), ...processFigures() })}\n`);
  }
  await run.stop();
}

function processFigures(): Record<string, number> {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const mib = (bytes: number): number => Math.round((bytes / 2 ** 20) * 10) / 10;
  return {
    rssMb: mib(rss),
    heapMb: mib(heapUsed),
    externalMb: mib(external),
    handles: process.getActiveResourcesInfo().length,
    descriptors: readdirSync('/proc/self/fd').length,
  };
}

if (require.main === module) void main(Number(process.argv[2] ?? 1_000));

import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchContext } from './bench-context';
import { treeCpuUs } from './cpu-accounting';
import type { LoadResult } from './load';
import { ratiosOf, spreadOf, type Spread } from './statistics';

/** What a server still does for requests that it has answered (the prediction log, say) is its time too. */
const SETTLE_MS = 700;

export interface Contender {
  readonly name: string;
  readonly pid: number;
  readonly origin: string;
  readonly requestFile: string;
  /** Of the load; CONNECTIONS where it is not said. */
  readonly connections?: number;
}

export interface Measured extends LoadResult {
  /** User and system time of the server's whole process tree, divided by the answered requests. */
  readonly cpuUs: number;
  readonly perSecond: number;
}

/** Rounds by contender, in the order they were run. */
export class Rounds {
  private readonly rounds = new Map<string, Measured[]>();

  add(name: string, measured: Measured): void {
    const known = this.rounds.get(name);
    if (known) known.push(measured);
    else this.rounds.set(name, [measured]);
  }

  has(name: string): boolean {
    return this.rounds.has(name);
  }

  values(name: string, what: keyof Measured): number[] {
    return (this.rounds.get(name) ?? []).map((round) => round[what]);
  }

  spread(name: string, what: keyof Measured): Spread {
    return spreadOf(this.values(name, what));
  }

  ratio(name: string, reference: string, what: keyof Measured): Spread {
    return ratiosOf(this.values(name, what), this.values(reference, what));
  }
}

/** One load against one server. Throws where it was not answered well: an error is answered cheaply, and no figure. */
export async function measureOnce(context: BenchContext, contender: Contender, seconds: number): Promise<Measured> {
  const beforeUs = treeCpuUs(contender.pid);
  const result = await context.load.run(contender.origin, contender.requestFile, seconds, contender.connections);
  await sleep(SETTLE_MS);
  const cpuUs = (treeCpuUs(contender.pid) - beforeUs) / Math.max(1, result.requests);
  if (result.requests === 0 || result.badStatus + result.broken > 0)
    throw new Error(
      `${contender.name}: ${result.requests} answers, ${result.badStatus} of them errors, and ${result.broken} broken`,
    );
  return { ...result, cpuUs, perSecond: result.requests / result.seconds };
}

/** All servers are up, and are measured one after the other, in an order that moves by one each round. */
export async function measureInTurns(context: BenchContext, contenders: readonly Contender[]): Promise<Rounds> {
  const rounds = new Rounds();
  const { options, say } = context;
  for (const contender of contenders) await measureOnce(context, contender, Math.min(3, options.seconds));
  for (let round = 0; round < options.rounds; round += 1) {
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const contender = contenders[(turn + round) % contenders.length]!;
      const measured = await measureOnce(context, contender, options.seconds);
      rounds.add(contender.name, measured);
      const { cpuUs, perSecond, p99Us } = measured;
      say(
        `  round ${round + 1} ${contender.name}: ${cpuUs.toFixed(1)} µs of CPU, ${perSecond.toFixed(0)}/s, p99 ${(p99Us / 1_000).toFixed(1)} ms`,
      );
    }
  }
  return rounds;
}

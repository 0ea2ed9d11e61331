import type { Worker } from 'node:cluster';
import cluster from 'node:cluster';
import type { Logger } from '../../../infra/telemetry/log';
import { ERRORS, SlipwayError } from '../../../workflows/domain/errors';
import { MEMBER_VARIABLE } from './member';
import type { FleetMessage, MemberMessage } from './messages';
import { isOurs } from './messages';

export interface FleetOptions {
  /** Main of one process. */
  readonly entry: string;
  readonly processes: number;
  readonly logger: Logger;
}

const RESTART_AFTER_MS = 200;
const RESTART_AFTER_AT_MOST_MS = 10_000;
/** A process that lived so long did not die of how it was started. */
const WELL_AFTER_MS = 10_000;
/** Less than what a member gives the one that asked. */
const METRICS_WITHIN_MS = 1_500;

interface Collection {
  readonly asker: Worker;
  readonly request: number;
  readonly texts: string[];
  missing: number;
  readonly late: NodeJS.Timeout;
}

/**
 * Processes that serve one port. They accept from one listening socket themselves, and the kernel keeps what none has taken yet:
 * when one is killed, only the connections that it had are lost. One that dies is started again in its place, with the same id,
 * so that it publishes what its predecessor had counted.
 */
export class Fleet {
  private readonly members = new Map<string, Worker>();
  private readonly collections = new Map<number, Collection>();
  private collected = 0;
  private isEnding = false;
  private everListened = false;
  private fail!: (error: SlipwayError) => void;
  /** Rejects when no process could be started at all. */
  readonly failed: Promise<never>;

  constructor(private readonly options: FleetOptions) {
    this.failed = new Promise<never>((_resolve, reject) => (this.fail = reject));
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ exec: options.entry });
    for (let member = 1; member <= options.processes; member += 1) this.start(String(member), RESTART_AFTER_MS);
  }

  /** Every process answers what it has taken, and ends. */
  async end(): Promise<void> {
    this.isEnding = true;
    await Promise.all(
      [...this.members.values()].map(
        (worker) =>
          new Promise<void>((resolve) => {
            worker.once('exit', () => resolve());
            worker.process.kill('SIGTERM');
          }),
      ),
    );
  }

  private start(member: string, restartAfterMs: number): void {
    const startedMs = performance.now();
    const worker = cluster.fork({ [MEMBER_VARIABLE]: member });
    this.members.set(member, worker);
    worker.on('message', (message: unknown) => {
      if (isOurs<MemberMessage>(message)) this.receive(worker, message);
    });
    worker.once('listening', () => (this.everListened = true));
    worker.once('exit', (code, signal) => {
      this.members.delete(member);
      if (this.isEnding) return;
      this.options.logger.error({ member, code, signal }, 'a gateway process ended; it is started again');
      if (!this.everListened && this.members.size === 0) return this.fail(notStarted(code));
      const wasWell = performance.now() - startedMs > WELL_AFTER_MS;
      const afterMs = wasWell ? RESTART_AFTER_MS : restartAfterMs;
      setTimeout(() => {
        if (!this.isEnding) this.start(member, Math.min(2 * afterMs, RESTART_AFTER_AT_MOST_MS));
      }, afterMs);
    });
  }

  private receive(worker: Worker, message: MemberMessage): void {
    if (message.slipway === 'metrics-wanted') this.collect(worker, message.request);
    else {
      const collection = this.collections.get(message.request);
      if (!collection) return;
      collection.texts.push(message.text);
      if ((collection.missing -= 1) === 0) this.answer(message.request);
    }
  }

  private collect(asker: Worker, request: number): void {
    const collected = (this.collected += 1);
    const asked = [...this.members.values()].filter((worker) => worker.isConnected());
    const late = setTimeout(() => this.answer(collected), METRICS_WITHIN_MS);
    this.collections.set(collected, { asker, request, texts: [], missing: asked.length, late });
    for (const worker of asked) send(worker, { slipway: 'metrics-tell', request: collected });
  }

  private answer(collected: number): void {
    const { asker, request, texts, late } = this.collections.get(collected)!;
    this.collections.delete(collected);
    clearTimeout(late);
    if (asker.isConnected()) send(asker, { slipway: 'metrics-all', request, texts });
  }
}

/** What was wrong is in the log of the process; here only its exit code is known. */
function notStarted(exitCode: number): SlipwayError {
  const likely = (['PORT_TAKEN', 'CONFIG_INVALID'] as const).find((code) => ERRORS[code].exit === exitCode);
  return new SlipwayError(likely ?? 'INTERNAL', `no gateway process could start; the last ended with ${exitCode}`);
}

/** A process that died meanwhile reads nothing; its exit is what counts. */
function send(worker: Worker, message: FleetMessage): void {
  worker.process.send(message, () => undefined);
}

import type { AuditRef } from '../../workflows/domain/audit';
import type { GatewayHeartbeat, ServedState } from '../../workflows/domain/gateway';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { RouteFollower } from './routes/route-follower';
import type { ServedModel } from './routes/served-model';

export interface HeartbeatOptions {
  readonly id: string;
  readonly incarnation: string;
  readonly address: string;
  readonly follower: RouteFollower;
  /** Monotonic clock of leases. */
  readonly nowMs: () => number;
  readonly put: (key: string, bytes: Uint8Array) => Promise<void>;
  readonly onProblem: (error: Error) => void;
}

const EVERY_MS = 2_000;

/** Tells the workspace every few seconds what is served here. */
export class Heartbeat {
  private readonly startedAt = new Date().toISOString();
  private readonly timer: NodeJS.Timeout;
  private isBeating = false;

  constructor(private readonly options: HeartbeatOptions) {
    this.timer = setInterval(() => void this.beat(false), EVERY_MS);
    this.timer.unref();
  }

  /** Never rejects: the next one says the same. */
  async beat(draining: boolean): Promise<void> {
    if (this.isBeating) return;
    this.isBeating = true;
    try {
      await this.options.put(keys.gateway(this.options.id), Buffer.from(JSON.stringify(this.document(draining))));
    } catch (error) {
      this.options.onProblem(error as Error);
    } finally {
      this.isBeating = false;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.beat(true);
  }

  private document(draining: boolean): GatewayHeartbeat {
    const { id, incarnation, address, follower, nowMs } = this.options;
    const models: Record<ModelName, ServedState> = {};
    const audit: Record<ModelName, AuditRef> = {};
    for (const { served, problem } of follower.all()) {
      const { model, generation } = served.route;
      audit[model] = served.route.audit;
      models[model] = {
        generation,
        route: served.digest,
        champion: served.champion.ref,
        challenger: served.challenger?.ref ?? null,
        challengerAllowed: served.mayTry(nowMs()),
        problem: problem ?? problemOf(served),
      };
    }
    return {
      schema: 'slipway.gateway/1',
      id,
      incarnation,
      pid: process.pid,
      address,
      startedAt: this.startedAt,
      at: new Date().toISOString(),
      draining,
      models,
      audit,
    };
  }
}

/** Of the servers behind its releases. */
function problemOf({ releases }: ServedModel): ServedState['problem'] {
  const problem = releases.find(({ endpoint }) => endpoint?.problem)?.endpoint?.problem;
  return problem ? { code: problem.code, message: problem.message } : null;
}

import cluster from 'node:cluster';
import type { SlipwayConfig } from '../../../infra/config/config';
import { modelMemoryLimit } from '../routes/memory-limit';
import { mergeMetrics } from './merge-metrics';
import type { FleetMessage, MemberMessage } from './messages';
import { isOurs } from './messages';

/** Which process of several this one is; the parent sets it. */
export const MEMBER_VARIABLE = 'SLIPWAY_GATEWAY_MEMBER';
const METRICS_WITHIN_MS = 2_000;

/** What a process is in its fleet: an id of its own, with it cache folder, journal and heartbeat, and its share of memory. */
export function memberConfig<C extends Pick<SlipwayConfig, 'gateway'>>(config: C, member: string): C {
  const { gateway } = config;
  const memoryBytes = Math.floor(modelMemoryLimit(gateway) / gateway.processes);
  return { ...config, gateway: { ...gateway, id: `${gateway.id}-${member}`, memoryBytes, processes: 1 } };
}

/** One process of several that share a port. */
export class FleetMember {
  private readonly waiting = new Map<number, (texts: readonly string[]) => void>();
  private requests = 0;
  /** This process's page. */
  private own = (): Promise<string> => Promise.resolve('');

  constructor() {
    process.on('message', (message: unknown) => {
      if (isOurs<FleetMessage>(message)) void this.receive(message);
    });
  }

  publish(own: () => Promise<string>): void {
    this.own = own;
  }

  /** Everybody's metrics on one page. What does not answer in time is left out, as a process that is gone would be. */
  async metrics(): Promise<string> {
    const request = (this.requests += 1);
    const texts = await new Promise<readonly string[]>((resolve) => {
      const late = setTimeout(() => resolve([]), METRICS_WITHIN_MS);
      this.waiting.set(request, (all) => {
        clearTimeout(late);
        resolve(all);
      });
      tell({ slipway: 'metrics-wanted', request });
    });
    this.waiting.delete(request);
    return mergeMetrics(texts.length > 0 ? texts : [await this.own()]);
  }

  private async receive(message: FleetMessage): Promise<void> {
    if (message.slipway === 'metrics-all') return this.waiting.get(message.request)?.(message.texts);
    tell({ slipway: 'metrics-own', request: message.request, text: await this.own() });
  }
}

/** Resolves when the parent is gone: nobody would start this process again, so it drains like one that is asked to end. */
export function untilAlone(): Promise<string> {
  return new Promise((resolve) => {
    const { worker } = cluster;
    worker?.on('disconnect', () => {
      // Or the library ends the process at once, with requests under way.
      worker.exitedAfterDisconnect = true;
      resolve('parent gone');
    });
  });
}

function tell(message: MemberMessage): void {
  if (process.connected) process.send!(message);
}

import type { Client } from '@temporalio/client';
import type { Signer } from '../../infra/signing/port';
import type { LifecycleControlActivities } from '../../workflows/lifecycle.activities';
import type { MonitorControlActivities } from '../../workflows/monitor.activities';
import { createReleaseHandover } from './hand-over';
import { createRetrain, type RetrainPorts } from './start-retrain';

export interface HandoverPorts extends RetrainPorts {
  readonly client: Client;
  /** The control key. */
  readonly signer: Signer;
  readonly workspace: string;
  /** Goes into the input of the workflows that are started. */
  readonly timeoutDivisor: number;
  readonly clock?: () => Date;
}

export type HandoverActivities = Pick<LifecycleControlActivities, 'handOver' | 'withdrawRelease'> &
  Pick<MonitorControlActivities, 'startRetrain'>;

/** What one workflow has another do: the only activities that talk to Temporal. */
export function createHandoverActivities(ports: HandoverPorts): HandoverActivities {
  return { ...createReleaseHandover(ports), ...createRetrain(ports) };
}

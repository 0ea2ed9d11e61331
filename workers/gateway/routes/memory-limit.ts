import { totalmem } from 'node:os';
import type { SlipwayConfig } from '../../../infra/config/config';

/** The rest is for requests, batches, the prediction log and the runtime itself. */
const SHARE = 0.6;

/** Bytes that open models may take together: as configured, or a share of what the container, or else the machine, has. */
export function modelMemoryLimit({ memoryBytes }: Pick<SlipwayConfig['gateway'], 'memoryBytes'>): number {
  if (memoryBytes !== undefined) return memoryBytes;
  const constrained = process.constrainedMemory();
  return Math.floor(SHARE * (constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()));
}

import type { Registry } from 'prom-client';
import type { Executor } from '../execution/executor';
import type { GatewayOptions } from '../gateway-options';
import { Admission } from './admission';
import { Certificates } from './certificates';
import { registerCostMetrics, registerEdgeMetrics } from './edge-metrics';

export interface EdgeParts {
  /** Null where the operator gave no file: everybody is let in. */
  readonly admission: Admission | null;
  /** Null without TLS. */
  readonly certificates: Certificates | null;
}

interface EdgeSurroundings {
  readonly executor: Pick<Executor, 'spentByModel'>;
  readonly registry: Registry;
  readonly problem: (event: string) => (error: Error) => void;
  readonly nowMs: () => number;
}

/** What the operator's file asks for. Throws CONFIG_INVALID where certificates do not fit. */
export function assembleEdge({ edge, logger }: GatewayOptions, parts: EdgeSurroundings): EdgeParts {
  const { executor, registry, problem, nowMs } = parts;
  registerCostMetrics(registry, executor.spentByModel, () => edge?.file.price ?? null);
  if (!edge) return { admission: null, certificates: null };
  const admission = new Admission(() => edge.callers, nowMs);
  registerEdgeMetrics(registry, admission, edge);
  const files = (): typeof edge.file.tls => edge.file.tls;
  const onProblem = problem('certificates-failed');
  return { admission, certificates: files() ? new Certificates({ files, logger, onProblem }) : null };
}

import { collectDefaultMetrics, Registry } from 'prom-client';

/**
 * A registry for one process, with `process` on every series and Node's own metrics. Label values must come from the
 * workspace's registry of models, never from callers (invariant I11).
 */
export function createMetrics(process: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ process });
  collectDefaultMetrics({ register: registry, prefix: 'slipway_' });
  return registry;
}

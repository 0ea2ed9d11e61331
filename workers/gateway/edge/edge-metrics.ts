import { Counter, Gauge, type Registry } from 'prom-client';
import type { Spent } from '../execution/executor';
import type { Admission } from './admission';
import type { Edge } from './edge';
import type { GatewayFile } from './gateway-file';

/** Series by code, never by caller (invariant I11). */
export function registerEdgeMetrics(registry: Registry, admission: Admission, edge: Pick<Edge, 'failedLooks'>): void {
  const refused = new Counter({
    name: 'slipway_gateway_turned_away_total',
    help: 'Requests, of any kind, whose caller was not let in.',
    labelNames: ['code'],
    registers: [registry],
    collect: () => {
      refused.reset();
      for (const [code, count] of Object.entries(admission.refusals)) refused.inc({ code }, count);
    },
  });
  const failed = new Counter({
    name: 'slipway_gateway_file_failed_looks_total',
    help: 'Looks at the gateway file that could not be taken; the last good one counts on.',
    registers: [registry],
    collect: () => {
      failed.reset();
      failed.inc(edge.failedLooks);
    },
  });
}

/** Models are those of routes (invariant I11); `spent` is what was inferred for each since the process began. */
export function registerCostMetrics(
  registry: Registry,
  spent: ReadonlyMap<string, Spent>,
  price: () => GatewayFile['price'],
): void {
  const seconds = new Counter({
    name: 'slipway_gateway_inference_seconds_total',
    help: 'Time that inference threads were at work for a model: rows of callers, pairs, shadows and self-tests.',
    labelNames: ['model'],
    registers: [registry],
    collect: () => {
      seconds.reset();
      for (const [model, { ms }] of spent) seconds.inc({ model }, ms / 1_000);
    },
  });
  const cost = new Gauge({
    name: 'slipway_gateway_cost_per_1000_predictions',
    help: 'Price of a second of inference by the measured time of 1,000 rows.',
    labelNames: ['model', 'currency'],
    registers: [registry],
    collect: () => {
      cost.reset();
      const { perSecond, currency } = price() ?? {};
      if (perSecond === undefined || currency === undefined) return;
      for (const [model, { ms, rows }] of spent) if (rows > 0) cost.set({ model, currency }, (perSecond * ms) / rows);
    },
  });
}

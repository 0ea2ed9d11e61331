import { Counter, type Registry } from 'prom-client';
import type { Admission } from './admission';
import type { Edge } from './edge';

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

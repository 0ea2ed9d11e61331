import type { Bindings } from '../../../infra/endpoints/bindings';
import { readEndpoint } from '../../../infra/endpoints/descriptor';
import { EndpointClient } from '../../../infra/endpoints/endpoint-client';
import type { ReleaseManifest, ReleaseRef, SampleRows } from '../../../workflows/domain/release';
import type { Scorer } from '../execution/scorer';
import { sampleColumns } from '../inference/sample-columns';
import type { EndpointStatus } from '../routes/served-model';
import { EndpointChecks } from './endpoint-checks';
import { EndpointHealth } from './endpoint-health';
import type { EndpointMetrics, OpenEndpoint } from './endpoint-metrics';
import { EndpointScorer, type EndpointScorerOptions } from './endpoint-scorer';

export interface OpenEndpointsOptions {
  readonly bindings: Bindings;
  readonly metrics: EndpointMetrics;
  readonly maxWaitMs: number;
  /** That of the deadlines of requests. */
  readonly nowMs: () => number;
  readonly onSettled: () => void;
  /** After each look at a server whose answers are not those that were approved. */
  readonly onChanged: (ref: ReleaseRef, status: EndpointStatus) => void;
}

export interface EndpointRelease {
  readonly ref: ReleaseRef;
  readonly manifest: ReleaseManifest;
  /** The release's model file. */
  readonly descriptor: Uint8Array;
  readonly samples: SampleRows;
}

/** Releases that are open here and whose model is a server that exists. */
export class OpenEndpoints {
  private readonly opened = new Set<OpenEndpoint>();

  constructor(private readonly options: OpenEndpointsOptions) {
    options.metrics.follow(this.opened);
  }

  /** Ends checks and connections. */
  close(): void {
    for (const { scorer } of [...this.opened]) scorer.close();
  }

  /**
   * Asks the server for the release's samples once. One that does not answer, or answers otherwise, is told by `endpoint`. Throws
   * MODEL_UNREADABLE, MODEL_SIGNATURE and ENDPOINT_NOT_BOUND.
   */
  async open(release: EndpointRelease): Promise<{ readonly scorer: Scorer; readonly endpoint: EndpointStatus }> {
    const { bindings, metrics, maxWaitMs, nowMs, onSettled, onChanged } = this.options;
    const { ref, manifest, samples } = release;
    const { model } = ref;
    const descriptor = readEndpoint(release.descriptor);
    const client = new EndpointClient(descriptor, manifest.signature, bindings);
    bindings.find(descriptor.endpoint);
    const health = new EndpointHealth(descriptor, samples.rows.length > 0, nowMs);
    const onCall: EndpointScorerOptions['onCall'] = (outcome, ms) => metrics.countCall(model, outcome, ms);
    const onClosed = (): void => {
      checks.stop();
      this.opened.delete(open);
    };
    const scorer = new EndpointScorer({ client, health, maxWaitMs, nowMs, onSettled, onCall, onClosed });
    const open: OpenEndpoint = { model, health, scorer };
    const checks = new EndpointChecks({
      scorer,
      health,
      columns: sampleColumns(manifest, samples.rows),
      outputs: samples.outputs,
      everyMs: descriptor.check.everyMs,
      timeoutMs: descriptor.timeoutMs,
      onChecked: () => {
        if (health.isChanged) onChanged(ref, health);
      },
    });
    await checks.begin();
    this.opened.add(open);
    return { scorer, endpoint: health };
  }
}

import type { SlipwayConfig } from '../../infra/config/config';
import type { Bindings } from '../../infra/endpoints/bindings';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import type { ReleaseRegistry } from '../../infra/releases/port';
import type { ModelLimits } from '../../infra/onnx/inspect-model';
import type { RouteReader } from '../../infra/routes/port';
import type { FollowedTrust } from '../../infra/signing/follow-trust';
import type { Logger } from '../../infra/telemetry/log';
import type { Edge } from './edge/edge';
import type { FleetMember } from './fleet/member';
import type { RequestLimits } from './inference/protocol';

/** What the gateway needs of the outside: the object store, and what makes its bytes believable. */
export interface GatewayPorts {
  readonly store: Pick<ObjectStore, 'put'>;
  /** Its folder must be this gateway's own: see `cacheFolder`. */
  readonly blobs: Pick<BlobStore, 'file'>;
  /** What reader and registry verify with: when its policy changes, what is served is verified anew. */
  readonly trust: Pick<FollowedTrust, 'policy' | 'failedLooks'>;
  readonly reader: RouteReader;
  readonly registry: Pick<ReleaseRegistry, 'verify'>;
}

export interface GatewayOptions {
  readonly config: Pick<SlipwayConfig, 'home' | 'gateway'>;
  readonly logger: Logger;
  readonly ports: GatewayPorts;
  readonly limits?: RequestLimits;
  /** Under which a model file is opened for the first time. */
  readonly modelLimits?: ModelLimits;
  /** What the operator decided about callers, TLS and prices; nothing, where it is left out. */
  readonly edge?: Edge;
  /** Where external endpoints are; none is bound where it is left out. */
  readonly endpoints?: Bindings;
  /** Where this is one of several processes behind one port. */
  readonly fleet?: Pick<FleetMember, 'metrics' | 'publish'>;
  /** Monotonic clock of leases; tests move it. */
  readonly nowMs?: () => number;
}

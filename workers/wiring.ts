import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createAuditLog } from '../infra/audit/log';
import type { AuditLog } from '../infra/audit/port';
import type { SlipwayConfig } from '../infra/config/config';
import { createBlobStore } from '../infra/object-store/blobs';
import { openStore } from '../infra/object-store/open-store';
import { type Bindings, followBindings } from '../infra/endpoints/bindings';
import type { BlobStore, ObjectStore } from '../infra/object-store/port';
import type { ReleaseRegistry } from '../infra/releases/port';
import { createReleaseRegistry } from '../infra/releases/registry';
import type { RouteReader } from '../infra/routes/port';
import { createRouteReader } from '../infra/routes/reader';
import { followTrust } from '../infra/signing/follow-trust';
import { loadSigner } from '../infra/signing/keys';
import type { Signer, Trust } from '../infra/signing/port';
import type { Logger } from '../infra/telemetry/log';

/** Name of the control plane's own key in the key folder. */
const CONTROL_KEY = 'control';

/** What activities of every stage work with. */
export interface WorkerPorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly trust: Trust;
  readonly audit: AuditLog;
  readonly registry: ReleaseRegistry;
  readonly reader: RouteReader;
  /** Where external endpoints are. */
  readonly endpoints: Bindings;
  /** For work in progress; each attempt has a folder of its own below it. */
  readonly workFolder: string;
}

export interface ControlPorts extends WorkerPorts {
  /** The control key: only this process signs routes, releases and checkpoints. */
  readonly signer: Signer;
}

/** Ports of a process that decides. Throws CONFIG_INVALID where the trust file or the control key cannot be read. */
export async function openControlPorts(config: SlipwayConfig, logger: Logger): Promise<ControlPorts> {
  const signer = await loadSigner(config.keyFolder, CONTROL_KEY);
  return { ...openPorts(config, logger, signer), signer };
}

/** Ports of a process that computes: it appends to the audit log, and leaves checkpoints to the control worker. */
export function openWorkerPorts(config: SlipwayConfig, logger: Logger): WorkerPorts {
  return openPorts(config, logger, null);
}

function openPorts(config: SlipwayConfig, logger: Logger, signer: Signer | null): WorkerPorts {
  const store = openStore(config.store);
  const blobs = createBlobStore(store, join(config.home, 'cache', 'blobs'), { maxBytes: config.blobCacheBytes });
  const trust = followTrust(config.trustFile, { logger });
  const audit = createAuditLog(store, { workspace: config.workspace, signer });
  const registry = createReleaseRegistry({ store, blobs, trust, audit });
  const reader = createRouteReader({ store, trust, audit });
  const workFolder = join(config.home, 'work');
  mkdirSync(workFolder, { recursive: true });
  const endpoints = followBindings(config.endpointsFile, { logger });
  return { store, blobs, trust, audit, registry, reader, endpoints, workFolder };
}

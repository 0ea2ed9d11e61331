import { join } from 'node:path';
import { createAuditLog } from '../../infra/audit/log';
import type { SlipwayConfig } from '../../infra/config/config';
import { createBlobStore } from '../../infra/object-store/blobs';
import { openStore } from '../../infra/object-store/open-store';
import { createReleaseRegistry } from '../../infra/releases/registry';
import { createRouteReader } from '../../infra/routes/reader';
import { followTrust } from '../../infra/signing/follow-trust';
import type { Logger } from '../../infra/telemetry/log';
import { runProcess } from '../process';
import { startGateway } from './gateway';
import type { GatewayPorts } from './gateway-options';
import { cacheFolder } from './identity';

/** Real ports: the store of the config, believed as far as the workspace's own trust file goes. */
function openPorts(config: SlipwayConfig, logger: Logger): GatewayPorts {
  const store = openStore(config.store);
  const blobs = createBlobStore(store, join(cacheFolder(config), 'blobs'));
  const trust = followTrust(config.trustFile, { logger });
  const audit = createAuditLog(store, { workspace: config.workspace, signer: null });
  return {
    store,
    blobs,
    trust,
    reader: createRouteReader({ store, trust, audit }),
    registry: createReleaseRegistry({ store, blobs, trust, audit }),
  };
}

async function untilAskedToEnd(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

runProcess('gateway', async (config, logger) => {
  const gateway = await startGateway({ config, logger, ports: openPorts(config, logger) });
  const signal = await untilAskedToEnd();
  logger.info({ signal }, 'gateway drains');
  await gateway.close();
});

import cluster from 'node:cluster';
import { join } from 'node:path';
import { createAuditLog } from '../../infra/audit/log';
import type { SlipwayConfig } from '../../infra/config/config';
import { followBindings } from '../../infra/endpoints/bindings';
import { createBlobStore } from '../../infra/object-store/blobs';
import { openStore } from '../../infra/object-store/open-store';
import { createReleaseRegistry } from '../../infra/releases/registry';
import { createRouteReader } from '../../infra/routes/reader';
import { followTrust } from '../../infra/signing/follow-trust';
import type { Logger } from '../../infra/telemetry/log';
import { runProcess } from '../process';
import { followEdge } from './edge/edge';
import { Fleet } from './fleet/fleet';
import { FleetMember, MEMBER_VARIABLE, memberConfig, untilAlone } from './fleet/member';
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

async function runGateway(config: SlipwayConfig, logger: Logger, fleet?: FleetMember): Promise<void> {
  const { file } = config.gateway;
  const options = {
    ...{ config, logger, ports: openPorts(config, logger) },
    ...(file ? { edge: followEdge(file, { logger }) } : {}),
    endpoints: followBindings(config.endpointsFile, { logger }),
  };
  const gateway = await startGateway(fleet ? { ...options, fleet } : options);
  const signal = await Promise.race([untilAskedToEnd(), untilAlone()]);
  logger.info({ signal }, 'gateway drains');
  await gateway.close();
}

async function runFleet(config: SlipwayConfig, logger: Logger): Promise<void> {
  const fleet = new Fleet({ entry: join(__dirname, 'start.cjs'), processes: config.gateway.processes, logger });
  const signal = await Promise.race([untilAskedToEnd(), fleet.failed]);
  logger.info({ signal }, 'gateway processes drain');
  await fleet.end();
}

runProcess('gateway', async (config, logger) => {
  const member = cluster.isWorker ? process.env[MEMBER_VARIABLE] : undefined;
  if (member !== undefined)
    return runGateway(memberConfig(config, member), logger.child({ member }), new FleetMember());
  return config.gateway.processes > 1 ? runFleet(config, logger) : runGateway(config, logger);
});

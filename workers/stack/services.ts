import { join, resolve } from 'node:path';
import type { SlipwayConfig } from '../../infra/config/config';
import { nodeEntry, servingEntry } from '../../infra/process/node-entry';
import { type LocalServerOptions, localServerArguments } from '../../infra/temporal/local-server';
import type { StackPorts } from '../../infra/workspace/ports';
import { TASK_QUEUES } from '../../workflows/domain/names';
import { answers, pollsQueue, serverAnswers } from './readiness';
import type { ServiceSpec } from './service';

type Environment = Readonly<Record<string, string | undefined>>;

const WORKER_STOP_TIMEOUT_MS = 20_000;
const SERVER_STOP_TIMEOUT_MS = 15_000;
const workersFolder = resolve(__dirname, '..');

/** Settings every process of the stack shares, and by which other commands reach it. No secrets. */
export function stackEnvironment(config: SlipwayConfig, env: Environment, ports: StackPorts): Record<string, string> {
  const passed = [
    'SLIPWAY_STORE',
    'SLIPWAY_S3_ENDPOINT',
    'AWS_REGION',
    'SLIPWAY_TRUST',
    'SLIPWAY_KEYS',
    'SLIPWAY_GATEWAY_HOST',
    'SLIPWAY_ENDPOINTS_FILE',
  ];
  const kept = passed.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]));
  return {
    ...Object.fromEntries(kept),
    TEMPORAL_ADDRESS: env['TEMPORAL_ADDRESS'] ?? `127.0.0.1:${ports.temporal}`,
    TEMPORAL_NAMESPACE: config.temporal.namespace,
    SLIPWAY_GATEWAY_PORT: String(ports.gateway),
    SLIPWAY_GATEWAY_GRPC_PORT: String(ports.gatewayGrpc),
  };
}

export function temporalService(
  config: SlipwayConfig,
  binary: string,
  ports: StackPorts,
  env: Environment,
): ServiceSpec {
  const options: LocalServerOptions = {
    binary,
    port: ports.temporal,
    uiPort: ports.temporalUi,
    databaseFile: join(config.home, 'temporal.db'),
    namespace: config.temporal.namespace,
  };
  return {
    name: 'temporal',
    argv: [binary, ...localServerArguments(options)],
    env,
    logFile: logFile(config, 'temporal'),
    stopTimeoutMs: SERVER_STOP_TIMEOUT_MS,
    isReady: () => serverAnswers(config.temporal),
  };
}

/** Workers and gateway; each is a process of its own, as it would be on machines of their own. */
export function workloadServices(config: SlipwayConfig, ports: StackPorts, env: Environment): ServiceSpec[] {
  const worker = (name: string, kind: 'workflow' | 'activity', queue: string, metricsPort: number): ServiceSpec => ({
    name,
    argv: nodeEntry(join(workersFolder, `${name}.ts`)),
    env: { ...env, SLIPWAY_METRICS_ADDRESS: `127.0.0.1:${metricsPort}` },
    logFile: logFile(config, name),
    stopTimeoutMs: WORKER_STOP_TIMEOUT_MS,
    isReady: (pid) => pollsQueue(config.temporal, queue, kind, pid),
  });
  return [
    worker('control', 'workflow', TASK_QUEUES.control, ports.controlMetrics),
    worker('compute', 'activity', TASK_QUEUES.compute, ports.computeMetrics),
    worker('gpu', 'activity', TASK_QUEUES.gpu, ports.gpuMetrics),
    {
      name: 'gateway',
      argv: servingEntry(join(workersFolder, 'gateway', 'start.cjs')),
      env,
      logFile: logFile(config, 'gateway'),
      stopTimeoutMs: WORKER_STOP_TIMEOUT_MS,
      isReady: () => answers(`http://127.0.0.1:${ports.gateway}/v2/health/live`),
    },
  ];
}

function logFile(config: SlipwayConfig, name: string): string {
  return join(config.home, 'logs', `${name}.log`);
}

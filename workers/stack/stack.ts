import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig, type SlipwayConfig } from '../../infra/config/config';
import type { Logger } from '../../infra/telemetry/log';
import { connectTemporal } from '../../infra/temporal/connection';
import { ensureNamespace } from '../../infra/temporal/namespace';
import { registerSearchAttributes } from '../../infra/temporal/search-attributes';
import { lockWorkspace } from '../../infra/workspace/lock';
import { choosePorts, STACK_PORTS, type StackPort, type StackPorts } from '../../infra/workspace/ports';
import { identify } from '../../infra/workspace/process-table';
import { readStackState, type StackState, writeStackState } from '../../infra/workspace/stack-state';
import { ensureWorkspace } from '../../infra/workspace/workspace';
import { SlipwayError } from '../../workflows/domain/errors';
import { createService, type Service } from './service';
import { stackEnvironment, temporalService, workloadServices } from './services';

export interface StackOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ports that were asked for; the others are remembered from the last start, or chosen. */
  readonly ports: Partial<StackPorts>;
  readonly logger: Logger;
  /** One line for people. */
  readonly print: (line: string) => void;
  /** Path of the Temporal program, found or built when a server of our own is needed. */
  readonly findTemporal: () => Promise<string>;
  /** Aborted by Ctrl-C and SIGTERM: the stack then drains and resolves. */
  readonly signal: AbortSignal;
}

const READY_TIMEOUT_MS = 90_000;
const READY_POLL_MS = 150;
/** So many deaths before it was ever ready mean that starting again will not help. */
const STARTING_DEATHS = 4;

/** Runs the whole stack of a workspace until the signal is aborted. Throws STACK_RUNNING, PORT_TAKEN, or what kept a service from starting. */
export async function runStack(options: StackOptions): Promise<void> {
  const config = parseConfig(options.env);
  const lock = lockWorkspace(config.home);
  try {
    await runLocked(config, options);
  } finally {
    lock.release();
  }
}

async function runLocked(given: SlipwayConfig, options: StackOptions): Promise<void> {
  const external = options.env['TEMPORAL_ADDRESS'] !== undefined;
  const needed = STACK_PORTS.filter((name) => !external || !(['temporal', 'temporalUi'] as StackPort[]).includes(name));
  const ports = await choosePorts(options.ports, readStackState(given.home)?.ports ?? {}, needed);
  const shared = stackEnvironment(given, options.env, ports);
  const env = { ...options.env, ...shared };
  const config = parseConfig(env);
  mkdirSync(join(config.home, 'logs'), { recursive: true });
  await ensureWorkspace(config);

  const services: Service[] = [];
  const book = createBook(config, ports, shared, external, services);
  const stop = async (): Promise<void> => {
    book.write('stopping');
    await stopInOrder(services);
    book.write('stopped');
  };
  try {
    if (!external) {
      const binary = await options.findTemporal();
      await bringUp(
        [createService(temporalService(config, binary, ports, env), options.logger, book.touch)],
        services,
        options,
      );
    }
    await prepareTemporal(config);
    const workload = workloadServices(config, ports, env).map((spec) =>
      createService(spec, options.logger, book.touch),
    );
    await bringUp(workload, services, options);
    if (!options.signal.aborted) {
      book.write('running');
      printReady(book.state(), options.print);
      await aborted(options.signal);
      options.print('stopping: workers and gateway drain, then Temporal …');
    }
  } finally {
    await stop();
  }
}

/** Starts services together and waits until each does its work. */
async function bringUp(starting: readonly Service[], services: Service[], options: StackOptions): Promise<void> {
  const beganMs = Date.now();
  for (const service of starting) {
    if (options.signal.aborted) return;
    services.push(service);
    service.start();
  }
  await Promise.all(
    starting.map(async (service) => {
      await waitReady(service, options.signal);
      if (!options.signal.aborted)
        options.print(`  ${service.spec.name.padEnd(9)} ready in ${((Date.now() - beganMs) / 1000).toFixed(1)} s`);
    }),
  );
}

async function waitReady(service: Service, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    if (signal.aborted) return;
    const { pid, restarts } = service.state();
    if (pid !== null && (await service.spec.isReady(pid))) return;
    if (restarts >= STARTING_DEATHS || Date.now() > deadline) throw startFailure(service, restarts);
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

function startFailure(service: Service, restarts: number): SlipwayError {
  const what =
    restarts >= STARTING_DEATHS
      ? `ended ${restarts} times while starting`
      : `was not ready in ${READY_TIMEOUT_MS / 1000} s`;
  const code = service.spec.name === 'temporal' ? 'TEMPORAL_UNAVAILABLE' : 'INTERNAL';
  return new SlipwayError(
    code,
    `${service.spec.name} ${what}; its log ${service.spec.logFile} ends with:\n${tail(service.spec.logFile)}`,
  );
}

function tail(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-8).join('\n');
  } catch {
    return '(no log)';
  }
}

async function prepareTemporal(config: SlipwayConfig): Promise<void> {
  const temporal = await connectTemporal(config.temporal);
  try {
    await ensureNamespace(temporal.connection, config.temporal.namespace);
    await registerSearchAttributes(temporal.connection, config.temporal.namespace);
  } finally {
    await temporal.close();
  }
}

/** Workers and gateway drain side by side while Temporal still answers them; Temporal is last. */
async function stopInOrder(services: readonly Service[]): Promise<void> {
  await Promise.all(services.filter((service) => service.spec.name !== 'temporal').map((service) => service.stop()));
  await Promise.all(services.filter((service) => service.spec.name === 'temporal').map((service) => service.stop()));
}

interface Book {
  state(): StackState;
  write(state: StackState['state']): void;
  /** A service changed. */
  readonly touch: () => void;
}

/** Keeps `stack.json` as the stack is. */
function createBook(
  config: SlipwayConfig,
  ports: StackPorts,
  env: Record<string, string>,
  external: boolean,
  services: readonly Service[],
): Book {
  let phase: StackState['state'] = 'starting';
  const gateway = `http://${config.gateway.host}:${ports.gateway}`;
  const state = (): StackState => ({
    schema: 'slipway.stack/1',
    workspace: config.workspace,
    state: phase,
    supervisor: identify(process.pid),
    processes: Object.fromEntries(services.map((service) => [service.spec.name, service.state()])),
    ports,
    urls: {
      temporalUi: external
        ? null
        : `http://127.0.0.1:${ports.temporalUi}/namespaces/${config.temporal.namespace}/workflows`,
      gateway,
      gatewayGrpc: `${config.gateway.host}:${ports.gatewayGrpc}`,
      metrics: `${gateway}/metrics`,
    },
    env,
  });
  const touch = (): void => writeStackState(config.home, state());
  touch();
  const write = (next: StackState['state']): void => {
    phase = next;
    touch();
  };
  return { state, write, touch };
}

function printReady(state: StackState, print: (line: string) => void): void {
  print('');
  print(`workspace ${state.workspace} is up`);
  print(`  Temporal UI  ${state.urls.temporalUi ?? `(your server at ${state.env['TEMPORAL_ADDRESS']})`}`);
  print(`  gateway      ${state.urls.gateway}`);
  print(`  metrics      ${state.urls.metrics}`);
  print('');
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

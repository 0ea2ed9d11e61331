import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { nodeEntry } from '../../infra/process/node-entry';
import { connectTemporal } from '../../infra/temporal/connection';
import { isAlive, identify, type ProcessIdentity } from '../../infra/workspace/process-table';
import { readStackState, type StackState } from '../../infra/workspace/stack-state';
import { freePorts } from '../support/ports';
import { type ServiceName, startStack, supervisorEntry, type TestStack, until } from '../support/stack';

const run = promisify(execFile);
const cli = resolve(__dirname, '../../client/cli/slipway.ts');
const services: readonly ServiceName[] = ['temporal', 'control', 'compute', 'gpu', 'gateway'];

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function slipway(env: Readonly<Record<string, string | undefined>>, ...args: string[]): Promise<Ended> {
  const [program, ...rest] = [...nodeEntry(cli), ...args];
  try {
    const { stdout, stderr } = await run(program!, rest, { env: env });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const failed = error as { code: number; stdout: string; stderr: string };
    return { code: failed.code, stdout: failed.stdout, stderr: failed.stderr };
  }
}

function processesOf(state: StackState): ProcessIdentity[] {
  return Object.values(state.processes).map((child) => identify(child.pid!));
}

async function namespaces(stack: TestStack): Promise<string[]> {
  const temporal = await connectTemporal(stack.config.temporal);
  try {
    const { namespaces: found } = await temporal.connection.workflowService.listNamespaces({});
    return (found ?? []).map((each) => each.namespaceInfo?.name ?? '');
  } finally {
    await temporal.close();
  }
}

describe('a stack that is up', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await startStack();
  }, 150_000);
  afterAll(async () => {
    await stack.stop();
  }, 60_000);

  it('runs Temporal, three workers and a gateway as processes of their own', async () => {
    const state = stack.current();
    expect(Object.keys(state.processes).sort()).toEqual([...services].sort());
    expect(new Set(Object.values(state.processes).map((child) => child.pid)).size).toBe(services.length);
    expect((await fetch(`${state.urls.gateway}/v2/health/live`)).status).toBe(200);
    expect(await namespaces(stack)).toContain('slipway-test');
    expect(stack.output()).toContain(state.urls.temporalUi!);
    expect(stack.output()).toContain(state.urls.gateway);
  });

  it('has made development keys that only their owner reads, and a trust file that waives approvals', () => {
    const policy = JSON.parse(readFileSync(stack.config.trustFile, 'utf8')) as {
      minApprovals: number;
      production: boolean;
      keys: { person: string }[];
    };
    expect(policy).toMatchObject({ minApprovals: 0, production: false });
    expect(policy.keys.map((key) => key.person).sort()).toEqual([
      'person:ana',
      'person:ben',
      'person:developer',
      'process:control',
    ]);
    for (const name of ['control', 'developer', 'approver-1', 'approver-2']) {
      expect(statSync(join(stack.config.keyFolder, `${name}.key.json`)).mode & 0o777).toBe(0o600);
    }
  });

  it('refuses a second up on the same workspace and names the process that has it', async () => {
    const second = await slipway(stack.env, 'up');
    expect(second.code).toBe(6);
    expect(second.stderr).toContain('STACK_RUNNING');
    expect(second.stderr).toContain(String(stack.supervisor.pid));
    expect(stack.current().supervisor.pid).toBe(stack.supervisor.pid);
  });

  it('starts a killed worker again and it does its work', async () => {
    const old = stack.kill('gateway');
    const renewed = await stack.waitForRestart('gateway', old);
    expect(renewed).not.toBe(old);
    expect(stack.current().processes['gateway']?.restarts).toBe(1);
    await until(
      async () => (await fetch(`${stack.current().urls.gateway}/v2/health/live`).catch(() => null))?.status === 200,
      20_000,
      () => 'the gateway does not answer again',
    );
  });

  it('is found in order by doctor, which shows no secret', async () => {
    const doctor = await slipway(stack.env, 'doctor', '--json');
    const { checks } = JSON.parse(doctor.stdout) as { checks: { name: string; outcome: string }[] };
    expect(checks.filter((check) => check.outcome === 'problem')).toEqual([]);
    expect(checks.map((check) => check.name)).toEqual([
      'node',
      'disk',
      'tool temporal',
      'stack',
      'temporal',
      'store',
      'trust',
      'keys',
    ]);
    const secret = (
      JSON.parse(readFileSync(join(stack.config.keyFolder, 'control.key.json'), 'utf8')) as { privateKey: string }
    ).privateKey;
    expect(doctor.stdout).not.toContain(secret.split('\n')[1]);
    expect(doctor.code).toBe(0);
  });

  it('stands beside a second workspace with ports of its own', async () => {
    const second = await startStack({ workspace: 'second', state: stack.state });
    try {
      const [mine, theirs] = [stack.current(), second.current()];
      expect(Object.values(mine.ports).filter((port) => Object.values(theirs.ports).includes(port))).toEqual([]);
      expect(second.config.store).not.toEqual(stack.config.store);
      expect(await namespaces(second)).not.toContain('slipway-test');
      expect((await fetch(`${theirs.urls.gateway}/v2/health/live`)).status).toBe(200);
    } finally {
      await second.stop();
    }
    expect((await fetch(`${stack.current().urls.gateway}/v2/health/live`)).status).toBe(200);
  }, 120_000);
});

describe('the end of a stack', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'slipway-stack-end-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('leaves no process after Ctrl-C, and the next start goes on where it stopped', async () => {
    const first = await startStack({ state: folder });
    const before = first.current();
    const children = processesOf(before);
    const temporal = await connectTemporal(first.config.temporal);
    await temporal.client.workflow.start('kept', { workflowId: 'kept/1', taskQueue: 'nobody' });
    await temporal.close();

    expect(await first.stop()).toBe(0);
    expect(children.filter(isAlive)).toEqual([]);
    expect(readStackState(first.config.home)?.state).toBe('stopped');

    const second = await startStack({ state: folder });
    try {
      expect(second.current().ports).toEqual(before.ports);
      const again = await connectTemporal(second.config.temporal);
      expect((await again.client.workflow.getHandle('kept/1').describe()).status.name).toBe('RUNNING');
      await again.close();
    } finally {
      await second.stop();
    }
  }, 240_000);

  it('comes to its children even when the supervisor is SIGKILLed', async () => {
    const stack = await startStack({ state: folder });
    const children = processesOf(stack.current());
    expect(children.filter(isAlive)).toHaveLength(services.length);
    stack.supervisor.kill('SIGKILL');
    await until(
      () => children.every((child) => !isAlive(child)),
      30_000,
      () => `alive: ${JSON.stringify(children.filter(isAlive))}`,
    );
    expect(children.filter(isAlive)).toEqual([]);

    const next = await startStack({ state: folder });
    expect(await next.stop()).toBe(0);
  }, 240_000);
});

describe('a port that is taken', () => {
  it('is named with the process that holds it, and nothing is started', async () => {
    const state = mkdtempSync(join(tmpdir(), 'slipway-stack-port-'));
    const [port] = await freePorts(1);
    const holder = createServer().listen(port, '127.0.0.1');
    try {
      const env = { ...process.env, SLIPWAY_STATE: state, SLIPWAY_WORKSPACE: 'taken' };
      const [program, ...args] = [...nodeEntry(supervisorEntry), '--gateway-port', String(port)];
      const ended = await new Promise<Ended>((settle) => {
        const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
        let stderr = '';
        child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
        child.once('close', (code) => settle({ code: code ?? -1, stdout: '', stderr }));
      });
      expect(ended.code).toBe(6);
      expect(ended.stderr).toContain('PORT_TAKEN');
      expect(ended.stderr).toContain(`process ${process.pid}`);
      expect(existsSync(join(state, 'taken', 'stack.json'))).toBe(false);
    } finally {
      holder.close();
      rmSync(state, { recursive: true, force: true });
    }
  });
});

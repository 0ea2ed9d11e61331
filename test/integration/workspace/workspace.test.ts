import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../../infra/config/config';
import { createSigner, loadKey } from '../../../infra/signing/keys';
import { loadTrust } from '../../../infra/signing/trust';
import { choosePorts, STACK_PORTS } from '../../../infra/workspace/ports';
import { findPortHolder } from '../../../infra/workspace/process-table';
import {
  readStackState,
  type StackState,
  withStackEnvironment,
  writeStackState,
} from '../../../infra/workspace/stack-state';
import { ensureWorkspace } from '../../../infra/workspace/workspace';
import { PAYLOAD_TYPES } from '../../../workflows/domain/envelope';
import { freePorts } from '../../support/ports';

let state: string;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'slipway-workspace-'));
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

const configOf = () => parseConfig({ SLIPWAY_STATE: state, SLIPWAY_WORKSPACE: 'dev' });

describe('a development workspace', () => {
  it('is made once, and left as it is after', async () => {
    const config = configOf();
    expect(await ensureWorkspace(config)).toEqual({ created: true });
    const before = readFileSync(config.trustFile, 'utf8');
    expect(await ensureWorkspace(config)).toEqual({ created: false });
    expect(readFileSync(config.trustFile, 'utf8')).toBe(before);
    expect(statSync(config.keyFolder).mode & 0o777).toBe(0o700);
  });

  it('goes on where its making was interrupted: keys that exist are the keys that are trusted', async () => {
    const config = configOf();
    await ensureWorkspace(config);
    const approver = await loadKey(config.keyFolder, 'approver-1');
    rmSync(config.trustFile);
    rmSync(join(config.keyFolder, 'control.key.json'));
    await ensureWorkspace(config);
    expect((await loadTrust(config.trustFile)).policy.keys.map((key) => key.keyId)).toContain(approver.keyId);
  });

  it('lets an approver approve and nothing else', async () => {
    const config = configOf();
    await ensureWorkspace(config);
    const trust = await loadTrust(config.trustFile);
    const envelope = createSigner(await loadKey(config.keyFolder, 'approver-1')).sign(PAYLOAD_TYPES.approval, {
      workspace: 'dev',
    });
    const requirement = { payloadType: PAYLOAD_TYPES.approval, project: 'flights', at: new Date() };
    expect(trust.verify(envelope, { ...requirement, role: 'approver' }).person).toBe('person:ana');
    expect(() => trust.verify(envelope, { ...requirement, role: 'trainer' })).toThrow('person:ana is no trainer');
  });
});

describe('ports of a stack', () => {
  it('names the process that holds a port that was asked for', async () => {
    const [port] = await freePorts(1);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    try {
      expect(findPortHolder(port!)?.pid).toBe(process.pid);
      await expect(choosePorts({ gateway: port! }, {}, STACK_PORTS)).rejects.toMatchObject({
        code: 'PORT_TAKEN',
        message: expect.stringContaining(`process ${process.pid} `) as string,
      });
    } finally {
      server.close();
    }
    expect(findPortHolder(port!)).toBeNull();
  });

  it('are all different, and the remembered ones where they are free', async () => {
    const [gateway, temporal] = await freePorts(2);
    const ports = await choosePorts({}, { gateway: gateway!, temporal: temporal! }, STACK_PORTS);
    expect(ports).toMatchObject({ gateway, temporal });
    expect(new Set(Object.values(ports)).size).toBe(STACK_PORTS.length);
  });
});

describe('what a stack leaves for other commands', () => {
  const written = (): StackState => ({
    schema: 'slipway.stack/1',
    workspace: 'dev',
    state: 'running',
    supervisor: { pid: 1, startTicks: '2' },
    processes: {},
    ports: {
      temporal: 1,
      temporalUi: 2,
      gateway: 3,
      gatewayGrpc: 7,
      controlMetrics: 4,
      computeMetrics: 5,
      gpuMetrics: 6,
    },
    urls: {
      temporalUi: null,
      gateway: 'http://127.0.0.1:3',
      gatewayGrpc: '127.0.0.1:7',
      metrics: 'http://127.0.0.1:3/metrics',
    },
    env: { TEMPORAL_ADDRESS: '127.0.0.1:4711', SLIPWAY_GATEWAY_PORT: '3' },
  });

  it('is read back, and the caller’s own settings win over it', () => {
    writeStackState(join(state, 'dev'), written());
    expect(readStackState(join(state, 'dev'))).toEqual(written());
    const found = withStackEnvironment({ SLIPWAY_STATE: state, SLIPWAY_GATEWAY_PORT: '99' });
    expect(found).toMatchObject({ TEMPORAL_ADDRESS: '127.0.0.1:4711', SLIPWAY_GATEWAY_PORT: '99' });
    expect(
      withStackEnvironment({ SLIPWAY_STATE: state, SLIPWAY_WORKSPACE: 'other' })['TEMPORAL_ADDRESS'],
    ).toBeUndefined();
  });

  it('is nothing where the file is torn', () => {
    writeStackState(join(state, 'dev'), written());
    writeFileSync(join(state, 'dev', 'stack.json'), '{"schema": "slipway.st');
    expect(readStackState(join(state, 'dev'))).toBeNull();
  });
});

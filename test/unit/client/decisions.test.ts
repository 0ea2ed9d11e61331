import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClientPorts } from '../../../client/client-ports';
import { commandDeployment } from '../../../client/decisions';
import { createFsStore } from '../../../infra/object-store/fs-store';
import type { ObjectStore } from '../../../infra/object-store/port';
import { createSigner, generateKey } from '../../../infra/signing/keys';
import { SlipwayError } from '../../../workflows/domain/errors';
import { keys } from '../../../workflows/domain/keys';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-decisions-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Of Temporal only what a command uses; it notes what it was asked to start. */
function portsOver(store: ObjectStore): { ports: ClientPorts; started: string[] } {
  const started: string[] = [];
  const workflow = {
    executeUpdateWithStart: (
      _name: string,
      { startWorkflowOperation }: { startWorkflowOperation: { options: { workflowId: string } } },
    ) => {
      started.push(startWorkflowOperation.options.workflowId);
      return Promise.resolve({ accepted: true, detail: 'done' });
    },
  };
  const ports = {
    config: { workspace: 'dev', timeoutDivisor: 1 },
    store,
    temporal: { workflow },
    signer: () => Promise.resolve(createSigner(generateKey('developer', 'person:dev'))),
  } as unknown as ClientPorts;
  return { ports, started };
}

describe('a command to a deployment', () => {
  it.each(['you/nope', 'you', 'No Name'])('to %s, of which the store knows nothing, starts nothing', async (model) => {
    const store = createFsStore(folder);
    await store.create(keys.releaseManifest('you/other', 1), Buffer.from('{}'));
    const { ports, started } = portsOver(store);
    await expect(commandDeployment(ports, model, 'rollback', {})).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: `model ${model} has no release in workspace dev`,
    });
    expect(started).toEqual([]);
  });

  it.each([keys.releaseManifest('you/model', 1), keys.route('you/model', 1)])(
    'is sent where %s exists',
    async (key) => {
      const store = createFsStore(folder);
      await store.create(key, Buffer.from('{}'));
      const { ports, started } = portsOver(store);
      expect(await commandDeployment(ports, 'you/model', 'rollback', {})).toMatchObject({ accepted: true });
      expect(started).toEqual(['deployment/you/model']);
    },
  );

  it('is sent while the store does not answer, and not when the store is broken', async () => {
    const failing = (code: 'STORE_UNAVAILABLE' | 'STORE_CORRUPT'): ObjectStore =>
      ({ list: () => Promise.reject(new SlipwayError(code, 'no')) }) as unknown as ObjectStore;
    const away = portsOver(failing('STORE_UNAVAILABLE'));
    expect(await commandDeployment(away.ports, 'you/model', 'rollback', {})).toMatchObject({ accepted: true });
    const broken = portsOver(failing('STORE_CORRUPT'));
    await expect(commandDeployment(broken.ports, 'you/model', 'rollback', {})).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
    });
    expect([away.started, broken.started]).toEqual([['deployment/you/model'], []]);
  });
});

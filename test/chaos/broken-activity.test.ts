import { type LocalServer, startLocalServer } from '../../infra/temporal/local-server';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { freePorts } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';
import { writeOrders } from '../support/tiny-shop';
import { divergences, play, type Played } from './play';
import { playFirstRelease } from './scenario';

const folder = temporaryFolder('broken-activity');
let server: LocalServer;

beforeAll(async () => {
  const [port] = await freePorts(1);
  const binary = await ensureTool('temporal-cli', () => undefined);
  server = await startLocalServer({ binary, port: port!, uiPort: null, databaseFile: null, namespace: 'default' });
  await writeOrders(folder.path);
}, 120_000);

afterAll(async () => {
  await server.stop();
  folder.remove();
}, 60_000);

function killedAfterRecording(name: string, worker: string): Promise<Played> {
  const { address: temporalAddress } = server;
  return play({
    ...{ folder: folder.path, name, temporalAddress, worker, scenario: playFirstRelease },
    ...{ side: 'after', activities: ['recordRollout'] },
  });
}

describe('the chaos test itself', () => {
  it('reports an activity that has its effect once for each attempt, and only that one', async () => {
    const [sound, broken] = await Promise.all([
      killedAfterRecording('sound', 'killing-worker'),
      killedAfterRecording('broken', 'broken-worker'),
    ]);
    expect([sound.killed, broken.killed]).toEqual([['recordRollout#1'], ['recordRollout#1']]);
    const started = ({ outcome }: Played): number =>
      outcome.auditKinds.filter((kind) => kind === 'rollout.started').length;
    expect([started(sound), started(broken)]).toEqual([1, 2]);
    expect(divergences(sound.outcome, broken.outcome)).toEqual([expect.stringMatching(/^auditKinds: /)]);
  }, 300_000);
});

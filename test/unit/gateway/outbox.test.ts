import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Outbox } from '../../../workers/gateway/records/outbox';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'slipway-outbox-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a disk that takes nothing', () => {
  it('does not stop the request that tripped a breaker: the event goes to the store at once', async () => {
    writeFileSync(join(folder, 'outbox'), 'a file where the folder should be');
    const put = new Map<string, string>();
    const problems: string[] = [];
    const outbox = new Outbox(
      join(folder, 'outbox'),
      async (key, bytes) => void put.set(key, Buffer.from(bytes).toString()),
      (error) => problems.push(error.message),
    );
    expect(() => outbox.write('observations/a/b/1/breaker/g.json', Buffer.from('{}'))).not.toThrow();
    await outbox.sendAll();
    expect([...put]).toEqual([['observations/a/b/1/breaker/g.json', '{}']]);
    expect(problems).toHaveLength(1);
    outbox.stop();
    expect(readdirSync(folder)).toEqual(['outbox']);
  });
});

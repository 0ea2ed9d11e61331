import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isUsableTemporal } from '../../../infra/tools/catalogue';
import { fetchTool } from '../../../infra/tools/ensure-tool';
import { withFileLock } from '../../../infra/tools/file-lock';
import { temporalDownload } from '../../../infra/tools/temporal-download';
import type { Tool, ToolSource } from '../../../infra/tools/tool';
import { cacheFolder } from '../../../infra/tools/tool-cache';
import { temporaryFolder } from '../../support/temporary-folder';

const fetcher = ['--require', require.resolve('tsx/cjs'), join(__dirname, '..', '..', 'support', 'tool-fetcher.ts')];
const script = '#!/bin/sh\necho it runs\n';

const working = (title: string): ToolSource => ({
  title,
  needs: 'a working way',
  make: async (folder) => writeFileSync(join(folder, 'tool'), script, { mode: 0o755 }),
});
const failing = (title: string, needs: string): ToolSource => ({
  title,
  needs,
  make: async (folder) => {
    writeFileSync(join(folder, 'half'), '');
    throw new Error('it broke', { cause: new Error('no route to host') });
  },
});
const toolOf = (...sources: ToolSource[]): Tool => ({ name: 'tool', version: '1.2.3', program: 'tool', sources });

describe('fetching a tool', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder('tools');
  });
  afterEach(() => folder.remove());

  it('takes the first way that works, in a folder by version, and leaves nothing half made', async () => {
    const lines: string[] = [];
    const tool = toolOf(failing('downloading', 'the internet'), working('building'));

    const path = await fetchTool(tool, { cache: folder.path, onProgress: (line) => lines.push(line) });

    expect(path).toBe(join(folder.path, 'tool-1.2.3', 'tool'));
    expect(execFileSync(path, { encoding: 'utf8' })).toBe('it runs\n');
    expect(readdirSync(folder.path)).toEqual(['tool-1.2.3']);
    expect(lines).toEqual([
      'tool 1.2.3: downloading, 0 s',
      'tool 1.2.3: downloading did not work, 0 s',
      'tool 1.2.3: building, 0 s',
    ]);
  });

  it('does not make again what is there, and prefers what the machine has', async () => {
    await fetchTool(toolOf(working('building')), { cache: folder.path });

    const cached = await fetchTool(toolOf(failing('building', '')), { cache: folder.path });
    const own = await fetchTool({ ...toolOf(), findInstalled: async () => '/opt/tool' }, { cache: folder.path });

    expect([cached, own]).toEqual([join(folder.path, 'tool-1.2.3', 'tool'), '/opt/tool']);
  });

  it('names what to install, and why each way failed, when none works', async () => {
    const tool = toolOf(failing('downloading', 'the internet'), failing('building', 'Go 1.26'));

    await expect(fetchTool(tool, { cache: folder.path })).rejects.toMatchObject({
      code: 'TOOL_MISSING',
      message:
        'tool 1.2.3 needs the internet, or Go 1.26. Tried: downloading: it broke (no route to host); building: it broke (no route to host)',
    });
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('replaces a cached folder that lacks its program', async () => {
    mkdirSync(join(folder.path, 'tool-1.2.3'));
    writeFileSync(join(folder.path, 'tool-1.2.3', 'leftover'), '');

    await fetchTool(toolOf(working('building')), { cache: folder.path });

    expect(readdirSync(join(folder.path, 'tool-1.2.3'))).toEqual(['tool']);
  });

  it('shows progress every few seconds while a way takes long', async () => {
    const lines: string[] = [];
    const slow: ToolSource = {
      ...working('building'),
      make: async (draft) => {
        while (lines.length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
        return working('').make(draft);
      },
    };

    await fetchTool(toolOf(slow), { cache: folder.path, onProgress: (line) => lines.push(line), progressEveryMs: 30 });

    expect(lines.length).toBeGreaterThanOrEqual(3);
    for (const line of lines) expect(line).toMatch(/^tool 1\.2\.3: building, \d+ s$/);
  });

  it('is done once when four processes ask at once', async () => {
    const journal = join(folder.path, 'journal');
    const runs = Array.from({ length: 4 }, () =>
      promisify(execFile)(process.execPath, [...fetcher, folder.path, journal, '600'], { env: process.env }),
    );
    const paths = (await Promise.all(runs)).map(({ stdout }) => stdout);

    expect(new Set(paths)).toEqual(new Set([join(folder.path, 'slow-1.0.0', 'slow')]));
    expect(readFileSync(journal, 'utf8').trim().split('\n')).toHaveLength(1);
  });

  it('is taken over from a process that was SIGKILLed in the middle', async () => {
    const journal = join(folder.path, 'journal');
    const first = spawn(process.execPath, [...fetcher, folder.path, journal, '60000'], { env: process.env });
    while (!existsSync(journal)) await new Promise((resolve) => setTimeout(resolve, 20));
    first.kill('SIGKILL');
    await once(first, 'exit');

    const { stdout } = await promisify(execFile)(process.execPath, [...fetcher, folder.path, journal, '0'], {
      env: process.env,
    });

    expect(existsSync(stdout)).toBe(true);
    expect(readFileSync(journal, 'utf8').trim().split('\n')).toHaveLength(2);
  });
});

describe('the file lock', () => {
  const folder = temporaryFolder('lock');
  const path = join(folder.path, 'a.lock');
  afterAll(() => folder.remove());

  it('lets one at a time in, also within a process, and is gone after', async () => {
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, (inside += 1));
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 8 }, () => withFileLock(path, work, { pollMs: 2 })));

    expect(most).toBe(1);
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('is gone after the work failed', async () => {
    const broken = withFileLock(path, () => Promise.reject(new Error('broke')));

    await expect(broken).rejects.toThrow('broke');
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('waits for a live holder of another machine, and takes over when it was silent for too long', async () => {
    const waited: string[] = [];
    writeFileSync(path, JSON.stringify({ pid: 1, host: `not-${hostname()}`, token: 'theirs' }));

    await withFileLock(path, async () => undefined, {
      pollMs: 5,
      onWait: ({ host }) => {
        waited.push(host);
        if (waited.length === 3) utimesSync(path, 0, 0);
      },
    });

    expect(waited).toEqual(Array.from({ length: 3 }, () => `not-${hostname()}`));
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe('the ways to Temporal', () => {
  it.each([
    ['temporal version 1.8.2 (Server 1.31.2, UI 2.50.1)', true],
    ['temporal version 1.5.0 (Server 1.29.0, UI 2.40.0)', true],
    ['temporal version 2.0.0-rc.1 (Server 2.0.0, UI 3.0.0)', true],
    ['temporal version 1.4.9 (Server 1.28.0, UI 2.39.0)', false],
    ['temporal version 0.13.0 (server 1.24.0) (ui 2.27.0)', false],
    ['temporal: command not found', false],
  ])('find %j usable: %p', (line, usable) => expect(isUsableTemporal(line)).toBe(usable));

  it('download and unpack the archive that the service names', async () => {
    const folder = temporaryFolder('download');
    writeFileSync(join(folder.path, 'temporal'), script);
    const archive = execFileSync('tar', ['-czf', '-', '-C', folder.path, 'temporal']);
    const asked: string[] = [];
    const server = createServer((incoming, reply) => {
      asked.push(incoming.url ?? '');
      const info = { archiveUrl: `http://127.0.0.1:${portOf()}/archive`, fileToExtract: 'temporal' };
      reply.end(incoming.url === '/archive' ? archive : JSON.stringify(info));
    });
    const portOf = (): number => (server.address() as { port: number }).port;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const source = temporalDownload({
      artifact: 'cli',
      version: '1.8.2',
      program: 'temporal',
      service: `http://127.0.0.1:${portOf()}`,
    });

    const path = await fetchTool(
      { name: 't', version: '1.8.2', program: 'temporal', sources: [source] },
      { cache: join(folder.path, 'cache') },
    );

    expect(execFileSync(path, { encoding: 'utf8' })).toBe('it runs\n');
    expect(asked[0]).toMatch(/^\/cli\/v1\.8\.2\?arch=(amd64|arm64)&platform=(linux|darwin)&format=tar\.gz$/);
    expect(readdirSync(join(folder.path, 'cache', 't-1.8.2'))).toEqual(['temporal']);
    server.close();
    server.closeAllConnections();
    folder.remove();
  });

  it('keep everything outside the checkout, where the environment says', () => {
    expect(cacheFolder({ SLIPWAY_CACHE: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c');
    expect(cacheFolder({ XDG_CACHE_HOME: '/x' })).toBe('/x/slipway');
    expect(cacheFolder({})).toMatch(/\/\.cache\/slipway$/);
  });
});

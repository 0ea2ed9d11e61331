import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START = join(__dirname, '../../../workers/gateway/start.cjs');
let cache: string;
beforeEach(() => (cache = mkdtempSync(join(tmpdir(), 'slipway-start-'))));
afterEach(() => rmSync(cache, { recursive: true, force: true }));

/** A port that is none ends the process as soon as it runs. */
function start(...parameters: string[]): Promise<{ readonly code: number | null; readonly said: string }> {
  const env = { ...process.env, SLIPWAY_CACHE: cache, SLIPWAY_GATEWAY_PORT: 'none' };
  const child = spawn(process.execPath, [START, ...parameters], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (said += part.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, said })));
}

function buildFolder(): string {
  const [rules] = readdirSync(cache);
  const [place] = readdirSync(join(cache, rules!));
  return join(cache, rules!, place!);
}

interface Build {
  readonly built: string;
  readonly stamps: Record<string, string>;
}

describe('the start of a gateway', () => {
  it('runs the build of these sources, and the sources where one of them has changed since', async () => {
    const sources = await start();
    expect([sources.code, sources.said]).toEqual([2, expect.stringContaining('CONFIG_INVALID')]);
    expect((await start('--build')).code).toBe(0);
    expect(await start()).toEqual(sources);

    const file = join(buildFolder(), 'build.json');
    const build = JSON.parse(readFileSync(file, 'utf8')) as Build;
    expect(Object.keys(build.stamps)).toEqual(
      expect.arrayContaining(['workers/gateway/main.ts', 'infra/config/config.ts', 'package-lock.json']),
    );
    writeFileSync(join(buildFolder(), build.built), "process.stdout.write('from the build');");
    expect(await start()).toEqual({ code: 0, said: 'from the build' });

    const stamps = { ...build.stamps, 'workers/gateway/main.ts': '1 1' };
    writeFileSync(file, JSON.stringify({ ...build, stamps }));
    expect(await start()).toEqual(sources);
  }, 120_000);
});

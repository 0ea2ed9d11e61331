import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGateway } from '../../../workers/gateway/gateway';
import { BlobFolder } from '../../../workers/gateway/routes/blob-folder';
import { SwapRun } from '../../bench/gateway-swaps';
import { GatewayFixture, inferBody, post, until } from './fixture';
import { linearModel } from './models';

describe('a gateway after many route swaps', () => {
  it('holds no more sessions, observers and files than after few', async () => {
    const run = new SwapRun();
    await run.start();
    try {
      const held = [];
      for (let round = 1; round <= 30; round += 1) {
        await run.swap(round);
        if (round === 10 || round === 30) held.push(run.held());
      }
      // Champion, challenger, previous champion, and one that leaves at the next look.
      for (const { sessions } of held) expect(sessions).toBeLessThanOrEqual(4);
      expect(held[1]!.files).toBe(held[0]!.files);
      expect(held[1]!.releases).toBe(held[1]!.sessions);
      expect(held[1]!.observers).toBeLessThanOrEqual(2);
    } finally {
      await run.stop();
    }
  }, 240_000);
});

describe('the files of past releases', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'slipway-blob-folder-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('go when there are too many, the oldest first, but not those of what is served', async () => {
    for (const [at, name] of ['a', 'b', 'c', 'd'].entries()) {
      writeFileSync(join(folder, name), 'x'.repeat(10));
      utimesSync(join(folder, name), at + 1, at + 1);
    }
    const problems: Error[] = [];
    const blobs = new BlobFolder({
      folder,
      maxBytes: 25,
      keepForMs: 60_000,
      onProblem: (error) => problems.push(error),
    });
    await blobs.sweep(new Set(['sha256:a']));
    expect([readdirSync(folder).sort(), problems]).toEqual([['a', 'd'], []]);
  });

  it('stay while they may be of a release that is being opened', async () => {
    for (const name of ['a', 'b']) writeFileSync(join(folder, name), 'x'.repeat(10));
    const blobs = new BlobFolder({ folder, maxBytes: 5, keepForMs: 60_000, onProblem: () => undefined });
    await blobs.sweep(new Set());
    expect(readdirSync(folder).sort()).toEqual(['a', 'b']);
  });
});

describe('a gateway that has too little memory for a model', () => {
  it('says so to callers and in its metrics, and does not open it', async () => {
    const fixture = new GatewayFixture();
    try {
      await fixture.route(await fixture.release(linearModel(1, 1)));
      const options = fixture.options();
      const { config } = options;
      const gateway = await startGateway({
        ...options,
        config: { ...config, gateway: { ...config.gateway, memoryBytes: 16 } },
      });
      try {
        const error = async (): Promise<string> => (await post(gateway.url, inferBody([1]))).body.error ?? '';
        await until(async () => (await error()).includes('MODEL_TOO_LARGE'), 'it is refused', 30_000);
        const text = await (await fetch(`${gateway.url}/metrics`)).text();
        expect(text).not.toContain('slipway_gateway_model_bytes{model=');
      } finally {
        await gateway.close();
      }
    } finally {
      await fixture.dispose();
    }
  });
});

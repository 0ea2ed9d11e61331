import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createFsStore } from '../../infra/object-store/fs-store';
import type { ObjectStore } from '../../infra/object-store/port';
import { createS3Store } from '../../infra/object-store/s3-store';
import { type Fate, type FlakyProxy, fatesOf, startFlakyProxy } from '../support/flaky-proxy';
import { spawnWriter } from '../support/spawn-writer';
import { temporaryFolder } from '../support/temporary-folder';
import { startTestS3, type TestS3 } from '../support/versitygw';

const retry = { attempts: 5, firstDelayMs: 10, maxDelayMs: 40 };
/** A server that answers is waited for, however slow the machine is; only one that hangs is not waited for so long. */
const quick = { retry, requestTimeoutMs: 20_000 };
const impatient = { retry, requestTimeoutMs: 2_500 };
const bytesOf = (content: string): Uint8Array => Buffer.from(content, 'utf8');
const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString('utf8'));

describe('the S3 store behind a network that fails', () => {
  let server: TestS3;
  let proxy: FlakyProxy;
  let throughProxy: ObjectStore;
  let impatientStore: ObjectStore;
  let direct: ObjectStore;
  let tests = 0;

  beforeAll(async () => {
    server = await startTestS3();
    proxy = await startFlakyProxy(server.endpoint);
  }, 600_000);
  afterAll(async () => {
    await proxy.close();
    await server.stop();
  });
  beforeEach(() => {
    const prefix = `faults-${(tests += 1)}`;
    throughProxy = createS3Store(server.config(prefix, proxy.endpoint), quick);
    impatientStore = createS3Store(server.config(prefix, proxy.endpoint), impatient);
    direct = createS3Store(server.config(prefix));
    proxy.decide = () => 'pass';
    proxy.seen.length = 0;
  });

  const storeFor = (fate: Fate): ObjectStore => (fate === 'hang' ? impatientStore : throughProxy);

  it('knows an object for its own when the reply to its creation was lost', async () => {
    proxy.decide = fatesOf('PUT', ['lose-reply']);

    expect(await throughProxy.create('a', bytesOf('mine'))).toBe(true);
    expect(proxy.seen).toEqual(['PUT lose-reply', 'PUT pass', 'HEAD pass']);
    expect(text(await direct.get('a'))).toBe('mine');
  });

  it('does not take equal bytes of somebody else for its own when its request was lost', async () => {
    await direct.create('a', bytesOf('same bytes'));
    proxy.decide = fatesOf('PUT', ['lose-request']);

    expect(await throughProxy.create('a', bytesOf('same bytes'))).toBe(false);
  });

  it('gives exactly one winner when many create one key and every second reply is lost', async () => {
    let count = 0;
    proxy.decide = (method) => (method === 'PUT' && (count += 1) % 2 === 0 ? 'lose-reply' : 'pass');
    const names = Array.from({ length: 16 }, (_, index) => `writer-${index}`);

    const told = await Promise.all(names.map((name) => throughProxy.create('a', bytesOf(name))));

    const winners = names.filter((_, index) => told[index]);
    expect(winners).toEqual([text(await direct.get('a'))]);
  });

  it('says that it does not know when every reply is lost, and the caller finds its own object by reading', async () => {
    proxy.decide = (method) => (method === 'PUT' || method === 'HEAD' ? 'lose-reply' : 'pass');

    await expect(throughProxy.create('a', bytesOf('mine'))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(text(await throughProxy.get('a'))).toBe('mine');
  });

  it('puts, lists and deletes though replies are lost', async () => {
    proxy.decide = fatesOf('PUT', ['lose-reply', 'lose-request']);
    await throughProxy.put('a', bytesOf('1'));
    proxy.decide = fatesOf('GET', ['lose-reply', 'lose-reply']);
    expect(await throughProxy.list('')).toEqual(['a']);
    proxy.decide = fatesOf('DELETE', ['lose-reply']);
    await throughProxy.delete('a');

    expect(await direct.get('a')).toBeNull();
  });

  it('never gives half an object when a reply is cut in its middle', async () => {
    const content = Buffer.alloc(2 << 20, 7);
    await direct.put('a', content);
    proxy.decide = fatesOf('GET', ['cut-reply', 'cut-reply']);

    expect(content.equals(Buffer.from((await throughProxy.get('a'))!))).toBe(true);
    expect(proxy.seen).toEqual(['GET cut-reply', 'GET cut-reply', 'GET pass']);
  });

  it.each<Fate>(['answer-503', 'lose-request', 'hang'])('goes on after a while of: %s', async (fate) => {
    const left: Fate[] = [fate, fate, fate];
    proxy.decide = () => left.shift() ?? 'pass';

    expect(await storeFor(fate).create('a', bytesOf('x'))).toBe(true);
    expect(proxy.seen.slice(0, 4)).toEqual([`PUT ${fate}`, `PUT ${fate}`, `PUT ${fate}`, 'PUT pass']);
  });

  it.each<Fate>(['answer-503', 'lose-request', 'hang'])(
    'is unavailable, and may be tried again, under nothing but: %s',
    async (fate) => {
      proxy.decide = () => fate;

      await expect(storeFor(fate).get('a')).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        kind: { retryable: true },
      });
      expect(proxy.seen).toHaveLength(quick.retry.attempts);
    },
  );

  it('names a bucket that is not there as a wrong setting, at once', async () => {
    const store = createS3Store({ ...server.config('x', proxy.endpoint), bucket: 'no-such-bucket' }, quick);

    await expect(store.get('a')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(proxy.seen).toHaveLength(1);
  });

  it('keeps what was written when the server is killed and started again', async () => {
    const folder = temporaryFolder('s3-restart');
    const first = await startTestS3(folder.path);
    await createS3Store(first.config('p')).create('a', bytesOf('kept'));
    process.kill(first.pid, 'SIGKILL');
    await expect(createS3Store(first.config('p'), quick).get('a')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });

    const second = await startTestS3(folder.path);
    expect(text(await createS3Store(second.config('p')).get('a'))).toBe('kept');
    await second.stop();
    folder.remove();
  });
});

describe('a full disk', () => {
  const folder = temporaryFolder('full');
  const megabyte = 1 << 20;
  const mount = join(folder.path, 'disk');

  /** A real file system of 4 MiB, where this user may mount one. */
  const mounted = ((): boolean => {
    mkdirSync(mount);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mount], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  })();
  const whereMounted = mounted ? it : it.skip;

  afterAll(() => {
    if (mounted) execFileSync('umount', [mount]);
    folder.remove();
  });
  afterEach(() => {
    for (const name of readdirSync(mount)) rmSync(join(mount, name), { recursive: true, force: true });
  });

  whereMounted(
    'refuses a write with STORE_FULL, keeps the old object whole, and goes on when space is freed',
    async () => {
      const store = createFsStore(join(mount, 'store'));
      await store.put('old', Buffer.alloc(megabyte, 1));
      writeFileSync(join(mount, 'ballast'), Buffer.alloc(2 * megabyte));

      await expect(store.put('old', Buffer.alloc(2 * megabyte, 2))).rejects.toMatchObject({ code: 'STORE_FULL' });
      await expect(store.create('new', Buffer.alloc(2 * megabyte, 2))).rejects.toMatchObject({ code: 'STORE_FULL' });

      expect(Buffer.from((await store.get('old'))!).equals(Buffer.alloc(megabyte, 1))).toBe(true);
      expect(await store.list('')).toEqual(['old']);
      expect(readdirSync(join(mount, 'store', '.tmp'))).toEqual([]);
      rmSync(join(mount, 'ballast'));
      expect(await store.create('new', Buffer.alloc(2 * megabyte, 2))).toBe(true);
    },
  );

  whereMounted('of an S3 server is STORE_FULL too, and leaves the old object whole', async () => {
    const server = await startTestS3(join(mount, 's3'));
    const store = createS3Store(server.config('p'), quick);
    await store.put('old', Buffer.alloc(megabyte, 1));
    writeFileSync(join(mount, 'ballast'), Buffer.alloc(2 * megabyte));

    await expect(store.put('old', Buffer.alloc(2 * megabyte, 2))).rejects.toMatchObject({ code: 'STORE_FULL' });
    await expect(store.create('new', Buffer.alloc(2 * megabyte, 2))).rejects.toMatchObject({ code: 'STORE_FULL' });

    expect(Buffer.from((await store.get('old'))!).equals(Buffer.alloc(megabyte, 1))).toBe(true);
    expect(await store.get('new')).toBeNull();
    await server.stop();
  });

  it('in the shape of a limit on file size leaves the old object whole', async () => {
    const config = { kind: 'fs', root: join(folder.path, 'limited') } as const;
    const store = createFsStore(config.root);
    await store.put('old', bytesOf('whole'));

    // ulimit counts blocks of 512 bytes: 1 MiB.
    const { output } = spawnWriter(config, { kind: 'put-once', key: 'old', bytes: 2 * megabyte }, 'ulimit -f 2048');

    expect(JSON.parse(await output)).toBe('STORE_FULL');
    expect(text(await store.get('old'))).toBe('whole');
    expect(readdirSync(join(config.root, '.tmp'))).toEqual([]);
  });
});

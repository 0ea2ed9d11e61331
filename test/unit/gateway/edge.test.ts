import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { createLocalJWKSet, exportJWK, generateKeyPair, type KeyLike, SignJWT } from 'jose';
import { SlipwayError } from '../../../workflows/domain/errors';
import { Admission } from '../../../workers/gateway/edge/admission';
import { ANYBODY, Callers } from '../../../workers/gateway/edge/callers';
import { covers, type GatewayFile, parseGatewayFile } from '../../../workers/gateway/edge/gateway-file';
import { RateLimits } from '../../../workers/gateway/edge/rate-limit';
import { traceIdOf } from '../../../workers/gateway/edge/trace';
import { temporaryFolder } from '../../support/temporary-folder';
import { untilSeen } from '../../support/until';

const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex');
const codeOf = async (work: () => unknown): Promise<string> => {
  try {
    await work();
    return 'nothing';
  } catch (error) {
    return error instanceof SlipwayError ? error.code : String(error);
  }
};

const FILE = `callers:
  - name: checkout
    apiKey: sha256:${hashOf('secret-1')}
    models: [flights/late-arrival, 'shop/*']
    rate: { perSecond: 10, burst: 3 }
  - { name: reports, apiKey: 'sha256:${hashOf('secret-2')}', models: ['*'] }
`;

describe('the file of a gateway', () => {
  it('gives callers, and paths relative to itself', () => {
    const file = parseGatewayFile(
      `${FILE}tls: { certificate: tls/cert.pem, key: /etc/key.pem }\n`,
      '/srv/gateway.yaml',
    );
    expect(file.callers.map(({ name, rate }) => [name, rate])).toEqual([
      ['checkout', { perSecond: 10, burst: 3 }],
      ['reports', null],
    ]);
    expect(file.tls).toEqual({ certificate: '/srv/tls/cert.pem', key: '/etc/key.pem', clientAuthorities: null });
  });

  it.each([
    ['a key in the clear', FILE.replace(/sha256:[0-9a-f]{64}/, 'secret-1'), 'gateway.yaml:3:13 callers[0].apiKey'],
    ['a wrong pattern', FILE.replace('shop/*', 'shop/**'), 'gateway.yaml:4:36 callers[0].models[1]'],
    ['a name twice', FILE.replace('reports', 'checkout'), 'another caller has the same name'],
    ['a key twice', FILE.replace(hashOf('secret-2'), hashOf('secret-1')), 'another caller has the same apiKey'],
    ['an unknown section', `${FILE}caller: []\n`, 'callers'],
    ['no YAML', 'callers: [', 'not valid YAML'],
  ])('is refused with the place of %s', (_, text, expected) => {
    expect(() => parseGatewayFile(text, 'gateway.yaml')).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(expected) as string,
      }) as Error,
    );
  });

  it('covers models by name, by project, and all', () => {
    expect([covers(['a/b'], 'a/b'), covers(['a/*'], 'a/c'), covers(['*'], 'x/y')]).toEqual([true, true, true]);
    expect([covers(['a/b'], 'a/bc'), covers(['a/*'], 'ab/c'), covers([], 'a/b')]).toEqual([false, false, false]);
  });
});

describe('callers', () => {
  const callers = new Callers(parseGatewayFile(FILE, 'gateway.yaml'));

  it('are known by their API key, as a header of its own or as a bearer', async () => {
    expect(await callers.identify({ 'x-api-key': 'secret-1' })).toMatchObject({ name: 'checkout' });
    expect(await callers.identify({ authorization: 'Bearer secret-2' })).toMatchObject({ name: 'reports' });
  });

  it.each([
    ['no credential', {}],
    ['an empty one', { 'x-api-key': '' }],
    ['a wrong one', { 'x-api-key': 'secret-3' }],
    ['the hash of a key', { 'x-api-key': hashOf('secret-1') }],
    ['another scheme', { authorization: 'Basic secret-1' }],
    ['a huge one', { 'x-api-key': 'x'.repeat(10_000) }],
  ])('are refused with %s', async (_, headers) => {
    expect(await codeOf(() => callers.identify(headers))).toBe('UNAUTHENTICATED');
  });

  it('are anybody where the operator named none', async () => {
    expect(await new Callers({ callers: [], tokens: [] }).identify({})).toBe(ANYBODY);
  });
});

describe('tokens', () => {
  const folder = temporaryFolder('jwks');
  const clock = { ms: Date.parse('2026-01-01T00:00:00Z') };
  let signingKey: KeyLike;
  let otherKey: KeyLike;
  let otherPublicKey: KeyLike;
  let file: Pick<GatewayFile, 'callers' | 'tokens'>;

  beforeAll(async () => {
    const pair = await generateKeyPair('EdDSA');
    signingKey = pair.privateKey;
    ({ privateKey: otherKey, publicKey: otherPublicKey } = await generateKeyPair('EdDSA'));
    writeFileSync(
      join(folder.path, 'jwks.json'),
      JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), alg: 'EdDSA' }] }),
    );
    file = parseGatewayFile(
      'tokens: [{ issuer: https://id.example, audience: slipway, keys: jwks.json, models: slipway_models }]\n',
      join(folder.path, 'gateway.yaml'),
    );
  });
  afterAll(() => folder.remove());

  const token = (changes: Record<string, unknown> = {}, key = signingKey): Promise<string> =>
    new SignJWT({
      iss: 'https://id.example',
      aud: 'slipway',
      sub: 'checkout',
      exp: clock.ms / 1_000 + 600,
      slipway_models: ['shop/*'],
      ...changes,
    })
      .setProtectedHeader({ alg: 'EdDSA' })
      .sign(key);
  const identify = async (callers: Callers, text: string): Promise<unknown> =>
    callers.identify({ authorization: `Bearer ${text}` });

  it('name the caller and its models, and are verified once until they expire', async () => {
    const callers = new Callers(file, () => clock.ms);
    const text = await token();
    expect(await identify(callers, text)).toEqual({
      name: 'https://id.example checkout',
      models: ['shop/*'],
      rate: null,
    });
    expect(callers.identify({ authorization: `Bearer ${text}` })).not.toBeInstanceOf(Promise);
    clock.ms += 631_000;
    expect(await codeOf(() => identify(callers, text))).toBe('UNAUTHENTICATED');
  });

  it('are refused from another issuer, for another audience, without an end, expired, or signed by another key', async () => {
    const callers = new Callers(file, () => clock.ms);
    for (const text of [
      await token({ iss: 'https://evil.example' }),
      await token({ aud: 'other' }),
      await token({ exp: undefined }),
      await token({ exp: clock.ms / 1_000 - 60 }),
      await token({}, otherKey),
      `${(await token()).split('.').slice(0, 2).join('.')}.AAAA`,
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await token()).split('.')[1]!}.AA`,
    ]) {
      expect(await codeOf(() => identify(callers, text))).toBe('UNAUTHENTICATED');
    }
  });

  it('of a key that its issuer took out are refused, remembered or not', async () => {
    const keys = join(folder.path, 'jwks.json');
    const before = readFileSync(keys, 'utf8');
    const callers = new Callers(file, () => clock.ms);
    const text = await token();
    await identify(callers, text);
    writeFileSync(keys, JSON.stringify({ keys: [{ ...(await exportJWK(otherPublicKey)), alg: 'EdDSA' }] }));
    try {
      await untilSeen('the end of the old key', async () =>
        (await codeOf(() => identify(callers, text))) === 'UNAUTHENTICATED' ? true : null,
      );
      expect(await codeOf(async () => identify(callers, await token({}, otherKey)))).toBe('nothing');
    } finally {
      writeFileSync(keys, before);
    }
  });

  it('of a key that is taken out while they are verified are not remembered', async () => {
    const callers = new Callers(file, () => clock.ms);
    const text = await token();
    const verifying = identify(callers, text);
    const issuer = callers['issuers'].get('https://id.example')!;
    const renewed = createLocalJWKSet({ keys: [{ ...(await exportJWK(otherPublicKey)), alg: 'EdDSA' }] });
    Object.assign(issuer, { keySet: { value: renewed, failedLooks: 0 } });
    expect(await codeOf(async () => identify(callers, await token({}, otherKey)))).toBe('nothing');
    await verifying;
    expect(await codeOf(() => identify(callers, text))).toBe('UNAUTHENTICATED');
  });

  it('that name no model may ask none', async () => {
    const callers = new Callers(file, () => clock.ms);
    const admission = new Admission(
      () => callers,
      () => 0,
    );
    const headers = { authorization: `Bearer ${await token({ slipway_models: undefined })}` };
    expect(await codeOf(() => admission.admit(headers, 'shop/price'))).toBe('FORBIDDEN');
    expect(await admission.admit(headers, null)).toMatchObject({ models: [] });
  });
});

describe('admission', () => {
  it('refuses models that a caller may not ask, and more than its quota, with the time to wait', async () => {
    let nowMs = 0;
    const callers = new Callers(parseGatewayFile(FILE, 'gateway.yaml'));
    const admission = new Admission(
      () => callers,
      () => nowMs,
    );
    const headers = { 'x-api-key': 'secret-1' };
    const ask = (model: string): Promise<string> => codeOf(() => admission.admit(headers, model));
    expect(await ask('bank/risk')).toBe('FORBIDDEN');
    expect([await ask('shop/a'), await ask('shop/a'), await ask('shop/a'), await ask('shop/a')]).toEqual([
      'nothing',
      'nothing',
      'nothing',
      'RATE_LIMITED',
    ]);
    expect(await ask('shop/b')).toBe('nothing');
    expect(() => admission.admit(headers, 'shop/a')).toThrow(expect.objectContaining({ retryAfterMs: 100 }) as Error);
    nowMs += 100;
    expect([await ask('shop/a'), await ask('shop/a')]).toEqual(['nothing', 'RATE_LIMITED']);
  });

  it('lets through burst and rate, and never more, however requests arrive', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 50 }),
        (gapsMs, burst, perSecond) => {
          let nowMs = 0;
          const limits = new RateLimits(() => nowMs);
          const passed: number[] = [];
          for (const gapMs of gapsMs) {
            nowMs += gapMs;
            const waitMs = limits.take('a', 'm/m', { perSecond, burst });
            if (waitMs === 0) passed.push(nowMs);
            else expect(waitMs).toBeLessThanOrEqual(1_000 / perSecond + 0.01);
          }
          passed.forEach((fromMs, first) => {
            for (let last = first; last < passed.length; last += 1) {
              const allowed = burst + ((passed[last]! - fromMs) / 1_000) * perSecond;
              expect(last - first + 1).toBeLessThanOrEqual(allowed + 1e-6);
            }
          });
        },
      ),
      { seed: 1, numRuns: 100 },
    );
  });
});

describe('the trace context', () => {
  const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

  it.each([
    ['as it is', PARENT],
    ['of a later version, with more', `${PARENT.replace(/^00/, '01')}-more`],
  ])('names the trace %s', (_, parent) => {
    expect(traceIdOf(parent)).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
  });

  it.each([
    ['absent', undefined],
    ['given twice', [PARENT, PARENT]],
    ['of no trace', PARENT.replace(/4bf9\w+/, '0'.repeat(32))],
    ['of no span', PARENT.replace('00f067aa0ba902b7', '0'.repeat(16))],
    ['of a forbidden version', PARENT.replace(/^00/, 'ff')],
    ['too long for version 0', `${PARENT}-extra`],
    ['in capitals', PARENT.toUpperCase()],
  ])('is not one where it is %s', (_, parent) => {
    expect(traceIdOf(parent)).toBeNull();
  });
});

import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PAYLOAD_TYPES, type PayloadType, type Role } from '../../../workflows/domain/envelope';
import { SlipwayError } from '../../../workflows/domain/errors';
import {
  createSigner,
  generateKey,
  loadKey,
  loadSigner,
  saveKey,
  trustedKey,
  type PrivateKey,
} from '../../../infra/signing/keys';
import type { Trust, TrustedKey } from '../../../infra/signing/port';
import { createTrust, loadTrust } from '../../../infra/signing/trust';
import { testKeys, testPolicy } from '../../support/workspace';

const approval = { workspace: 'dev', decision: 'approve' };

interface Ask {
  readonly key?: PrivateKey;
  readonly at?: string;
  readonly role?: Role;
  readonly project?: string;
  readonly type?: PayloadType;
  readonly document?: object;
}

/** The code of the refusal, or the person who is believed to have signed. */
function ask(
  trust: Trust,
  {
    key = testKeys.ana,
    at = '2001-03-01',
    role = 'approver',
    project = 'flights',
    type = PAYLOAD_TYPES.approval,
    document = approval,
  }: Ask = {},
): string {
  const envelope = createSigner(key).sign(PAYLOAD_TYPES.approval, document);
  try {
    return trust.verify(envelope, { payloadType: type, role, project, at: new Date(at) }).person;
  } catch (error) {
    if (error instanceof SlipwayError) return error.code;
    throw error;
  }
}

const withAna = (change: Partial<TrustedKey>): Trust => createTrust(testPolicy({}, { ana: change }));

describe('trust', () => {
  it('says who signed when key, role, project, type and workspace agree', () => {
    expect(ask(createTrust(testPolicy()))).toBe('person:ana');
  });

  it('refuses a key that the policy does not list', () => {
    expect(ask(createTrust(testPolicy()), { key: testKeys.foreign })).toBe('KEY_UNKNOWN');
  });

  it('refuses a listed key id over a signature by another key', () => {
    expect(ask(createTrust(testPolicy()), { key: { ...testKeys.foreign, keyId: testKeys.ana.keyId } })).toBe(
      'SIGNATURE_INVALID',
    );
  });

  it('refuses a document that was signed for another purpose', () => {
    expect(ask(createTrust(testPolicy()), { type: PAYLOAD_TYPES.command })).toBe('SIGNATURE_INVALID');
  });

  it('refuses a document of another workspace, or of none', () => {
    expect(ask(createTrust(testPolicy()), { document: { ...approval, workspace: 'prod' } })).toBe('WORKSPACE_MISMATCH');
    expect(ask(createTrust(testPolicy()), { document: { decision: 'approve' } })).toBe('WORKSPACE_MISMATCH');
  });

  it('grants roles by project', () => {
    const trust = withAna({ roles: [{ role: 'approver', project: 'flights' }] });
    expect(ask(trust)).toBe('person:ana');
    expect(ask(trust, { project: 'retail' })).toBe('ROLE_MISSING');
    expect(ask(trust, { role: 'operator' })).toBe('ROLE_MISSING');
  });

  it('counts expiry and leaving from their instant on, so that older decisions stand', () => {
    const expired = withAna({ expiresAt: '2001-03-01T00:00:00.000Z' });
    const left = withAna({ revoked: { at: '2001-03-01T00:00:00.000Z', reason: 'left' } });
    for (const trust of [expired, left]) {
      expect(ask(trust, { at: '2001-02-28T23:59:59.999Z' })).toBe('person:ana');
      expect(ask(trust, { at: '2001-03-01T00:00:00.000Z' })).toBe('KEY_REVOKED');
    }
  });

  it('believes a compromised key at no instant, not even before it was listed', () => {
    const trust = withAna({ revoked: { at: '2001-03-01T00:00:00.000Z', reason: 'compromised' } });
    expect(ask(trust, { at: '2000-01-01' })).toBe('KEY_REVOKED');
  });

  it('refuses an instant that is none', () => {
    expect(ask(createTrust(testPolicy()), { at: 'yesterday' })).toBe('SIGNATURE_INVALID');
  });
});

describe('a trust policy', () => {
  const problemOf = (change: () => unknown): string => {
    try {
      change();
    } catch (error) {
      return error instanceof SlipwayError && error.code === 'CONFIG_INVALID' ? error.message : String(error);
    }
    return 'none';
  };

  it('is refused when a key id is not that of its key, or is there twice', () => {
    expect(problemOf(() => withAna({ keyId: 'ed25519:0000000000000000' }))).toContain('is really');
    const twice = testPolicy();
    expect(problemOf(() => createTrust({ ...twice, keys: [...twice.keys, twice.keys[0]!] }))).toContain('twice');
  });

  it('is refused with the field that is wrong', () => {
    expect(problemOf(() => createTrust(testPolicy({ minApprovals: -1 })))).toContain('minApprovals');
    expect(problemOf(() => withAna({ expiresAt: 'soon' }))).toContain('expiresAt');
    expect(problemOf(() => withAna({ publicKey: 'no key' }))).toContain('Ed25519');
    expect(problemOf(() => withAna({ person: 'ana' }))).toContain('person');
  });
});

describe('keys and trust on disk', () => {
  let folder: string;
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'slipway-keys-'))));
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('keeps a private key for its owner only, and never replaces one', async () => {
    const key = generateKey('mine', 'person:me');
    const path = await saveKey(folder, key);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await loadKey(folder, 'mine')).toEqual(key);
    expect((await loadSigner(folder, 'mine')).keyId).toBe(key.keyId);
    await expect(saveKey(folder, generateKey('mine', 'person:me'))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await loadKey(folder, 'mine')).toEqual(key);
  });

  it('says what is wrong with a key file without showing the key', async () => {
    const key = generateKey('broken', 'person:me');
    await writeFile(join(folder, 'broken.key.json'), `${JSON.stringify(key).slice(0, -2)}`);
    await writeFile(join(folder, 'swapped.key.json'), JSON.stringify({ ...key, keyId: 'ed25519:0000000000000000' }));
    const secret = key.privateKey.split('\n')[1]!;
    for (const [name, why] of [
      ['missing', 'there is no private key missing'],
      ['broken', 'not JSON'],
      ['swapped', 'holds'],
      ['../escape', 'no name of a key'],
    ] as const) {
      const error: unknown = await loadKey(folder, name).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
      expect((error as Error).message).toContain(why);
      expect((error as Error).message).not.toContain(secret);
    }
  });

  it('reads the policy of a process from its own file', async () => {
    const file = join(folder, 'trust.json');
    const key = generateKey('mine', 'person:me');
    await writeFile(
      file,
      JSON.stringify({
        workspace: 'dev',
        keys: [trustedKey(key, ['approver'], 'flights')],
        minApprovals: 2,
        production: false,
      }),
    );
    const trust = await loadTrust(file);
    expect(trust.policy.minApprovals).toBe(2);
    expect(ask(trust, { key })).toBe('person:me');
    await writeFile(file, '{"workspace": "dev"');
    await expect(loadTrust(file)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await writeFile(file, '{"workspace": "dev", "keys": [], "minApprovals": 0}');
    await expect(loadTrust(file)).rejects.toThrow('production');
  });
});

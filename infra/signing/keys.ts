import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Role } from '../../workflows/domain/envelope';
import { wrapSigned } from './dsse';
import type { Signer, TrustedKey } from './port';

/** A private key as it is kept on disk; never in the store. */
export interface PrivateKey {
  readonly name: string;
  readonly keyId: string;
  /** Who decides with it: `person:ana`, `process:control`. */
  readonly person: string;
  /** PKCS8 PEM. */
  readonly privateKey: string;
  /** SPKI PEM. */
  readonly publicKey: string;
}

const keyName = /^[a-z0-9][a-z0-9-]{0,63}$/;

const privateKeySchema = z.strictObject({
  name: z.string(),
  keyId: z.string(),
  person: z.string(),
  privateKey: z.string(),
  publicKey: z.string(),
});

export function generateKey(name: string, person: string): PrivateKey {
  const pair = generateKeyPairSync('ed25519');
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { name, keyId: keyIdOf(pair.publicKey), person, privateKey, publicKey };
}

/** `ed25519:` and the first 16 hex digits of the SHA-256 of the raw 32-byte public key. */
export function keyIdOf(publicKey: KeyObject): string {
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return `ed25519:${createHash('sha256').update(raw).digest('hex').slice(0, 16)}`;
}

/** Reads an Ed25519 public key. Throws CONFIG_INVALID for anything else. */
export function readPublicKey(pem: string): KeyObject {
  return ed25519(() => createPublicKey(pem), 'public');
}

/** Writes `<folder>/<name>.key.json`, readable by its owner only. Never replaces a key: what it signed would lose its signer. */
export async function saveKey(folder: string, key: PrivateKey): Promise<string> {
  const path = keyPath(folder, key.name);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    const file = await open(path, 'wx', 0o600);
    await file.writeFile(`${JSON.stringify(key, null, 2)}\n`).finally(() => file.close());
  } catch (error) {
    throw new SlipwayError('CONFIG_INVALID', `key file ${path} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return path;
}

/** Throws CONFIG_INVALID when the file is missing, malformed, or its key id is not that of its keys. */
export async function loadKey(folder: string, name: string): Promise<PrivateKey> {
  const path = keyPath(folder, name);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    // The cause is left out: a JSON error quotes the text it met, which is a secret.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new SlipwayError(
        'CONFIG_INVALID',
        `there is no private key ${name} in ${folder}; \`slipway up\` makes the keys of a development workspace in the folder that it is started from (or SLIPWAY_STATE), \`slipway keys create ${name}\` makes another`,
        { advice: 'Give --key one of the names that `slipway keys list` shows, or set SLIPWAY_KEYS to their folder.' },
      );
    const reason = error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message;
    throw new SlipwayError('CONFIG_INVALID', `key file ${path} cannot be read: ${reason}`);
  }
  const parsed = privateKeySchema.safeParse(value);
  if (!parsed.success)
    throw new SlipwayError(
      'CONFIG_INVALID',
      `key file ${path} lacks ${parsed.error.issues.map((issue) => issue.path.join('.')).join(', ')}`,
    );
  const actual = keyIdOf(createPublicKey(readPrivateKey(parsed.data.privateKey)));
  if (actual !== parsed.data.keyId)
    throw new SlipwayError('CONFIG_INVALID', `key file ${path} says ${parsed.data.keyId} but holds ${actual}`);
  return parsed.data;
}

export function createSigner(key: Pick<PrivateKey, 'keyId' | 'privateKey' | 'publicKey'>): Signer {
  const secret = readPrivateKey(key.privateKey);
  return {
    keyId: key.keyId,
    publicKey: key.publicKey,
    sign: (payloadType, document) => wrapSigned(payloadType, document, key.keyId, (bytes) => sign(null, bytes, secret)),
  };
}

export async function loadSigner(folder: string, name: string): Promise<Signer> {
  return createSigner(await loadKey(folder, name));
}

/** The line of a trust file that lets this key act. */
export function trustedKey(
  key: Pick<PrivateKey, 'keyId' | 'publicKey' | 'person'>,
  roles: readonly Role[],
  project = '*',
): TrustedKey {
  const { keyId, publicKey, person } = key;
  return { keyId, publicKey, person, roles: roles.map((role) => ({ role, project })), expiresAt: null, revoked: null };
}

function keyPath(folder: string, name: string): string {
  if (!keyName.test(name))
    throw new SlipwayError('CONFIG_INVALID', `"${name}" is no name of a key: use a-z, 0-9 and -`);
  return join(folder, `${name}.key.json`);
}

function readPrivateKey(pem: string): KeyObject {
  return ed25519(() => createPrivateKey(pem), 'private');
}

/** The cause stays out of the error: OpenSSL may quote what it read. */
function ed25519(read: () => KeyObject, kind: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = read();
  } catch {
    key = undefined;
  }
  if (key?.asymmetricKeyType !== 'ed25519')
    throw new SlipwayError('CONFIG_INVALID', `not an Ed25519 ${kind} key in PEM`);
  return key;
}

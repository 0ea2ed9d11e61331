import { verify, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { PAYLOAD_TYPES, ROLES, type Envelope } from '../../workflows/domain/envelope';
import { SlipwayError } from '../../workflows/domain/errors';
import { CompromisedKeyError } from './compromised-key';
import { invalid, openEnvelope, parsePayload, preAuthenticationEncoding, type OpenEnvelope } from './dsse';
import { keyIdOf, readPublicKey } from './keys';
import type { Requirement, Trust, TrustedKey, Verified, WorkspacePolicy } from './port';

const instant = z.iso.datetime({ offset: true, message: 'must be an RFC 3339 instant' });

const policySchema = z.strictObject({
  workspace: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be 1 to 32 of a-z, 0-9 and -, starting with a letter'),
  keys: z.array(
    z.strictObject({
      keyId: z.string(),
      publicKey: z.string(),
      person: z
        .string()
        .regex(/^(person|process):[a-z0-9][a-z0-9._@-]{0,63}$/, 'must be person:<name> or process:<name>'),
      roles: z.array(
        z.strictObject({
          role: z.enum(ROLES),
          project: z.union([z.literal('*'), z.string().regex(/^[a-z][a-z0-9-]{0,47}$/)]),
        }),
      ),
      expiresAt: instant.nullable(),
      revoked: z.strictObject({ at: instant, reason: z.enum(['left', 'compromised']) }).nullable(),
    }),
  ),
  minApprovals: z.number().int().min(0).max(100),
  production: z.boolean(),
});

interface KnownKey {
  readonly trusted: TrustedKey;
  readonly publicKey: KeyObject;
}

/** Checks the policy as a whole: shape, key ids, no key twice. Throws CONFIG_INVALID that names each wrong field. */
export function createTrust(policy: WorkspacePolicy): Trust {
  const checked = checkPolicy(policy);
  const known = new Map<string, KnownKey>();
  for (const trusted of checked.keys) {
    const publicKey = readPublicKey(trusted.publicKey);
    const actual = keyIdOf(publicKey);
    if (actual !== trusted.keyId) throw badPolicy(`key ${trusted.keyId} of ${trusted.person} is really ${actual}`);
    if (known.has(actual)) throw badPolicy(`key ${actual} is listed twice`);
    known.set(actual, { trusted, publicKey });
  }
  return {
    policy: checked,
    verify: <T>(envelope: Envelope, requirement: Requirement) =>
      verifyEnvelope<T>(checked.workspace, known, envelope, requirement),
  };
}

/** Reads the trust file of this process's own config. Throws CONFIG_INVALID. */
export async function loadTrust(file: string): Promise<Trust> {
  return createTrust(await loadPolicy(file));
}

export async function loadPolicy(file: string): Promise<WorkspacePolicy> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw badPolicy(`${file} cannot be read: ${(error as Error).message}`);
  }
  return parsePolicy(text, file);
}

/** Throws CONFIG_INVALID that names `file`. */
export function parsePolicy(text: string, file: string): WorkspacePolicy {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badPolicy(`${file} cannot be read: ${(error as Error).message}`);
  }
  return checkPolicy(value, file);
}

function checkPolicy(value: unknown, source = 'trust policy'): WorkspacePolicy {
  const parsed = policySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`);
  throw badPolicy(`${source}: ${problems.join('; ')}`);
}

function badPolicy(message: string): SlipwayError {
  return new SlipwayError('CONFIG_INVALID', `trust: ${message}`);
}

/**
 * The signature is checked before anything that the document says is believed; who may do what comes last, so that a refusal
 * for a missing role is always about a document that is genuine.
 */
function verifyEnvelope<T>(
  workspace: string,
  known: ReadonlyMap<string, KnownKey>,
  envelope: Envelope,
  requirement: Requirement,
): Verified<T> {
  const opened = openEnvelope(envelope);
  if (opened.payloadType !== requirement.payloadType)
    throw invalid(`it is of type ${shown(opened.payloadType)}, not ${requirement.payloadType}`);
  const key = known.get(opened.keyId);
  if (!key) throw new SlipwayError('KEY_UNKNOWN', `workspace ${workspace} does not trust key ${shown(opened.keyId)}`);
  checkSignature(opened, key);
  const document = parsePayload(opened.payload);
  checkStanding(key.trusted, requirement.at);
  checkWorkspace(document, workspace, requirement);
  checkRole(key.trusted, requirement);
  return { document: document as T, keyId: opened.keyId, person: key.trusted.person };
}

function checkSignature(opened: OpenEnvelope, key: KnownKey): void {
  const signed = preAuthenticationEncoding(opened.payloadType, opened.payload);
  if (!verify(null, signed, key.publicKey, opened.signature))
    throw invalid(`the signature of ${key.trusted.keyId} does not match`);
}

/** Expiry and leaving count from their instant on; a compromised key could have signed with any date. */
function checkStanding(key: TrustedKey, at: Date): void {
  const { keyId, person, revoked, expiresAt } = key;
  if (Number.isNaN(at.getTime())) throw invalid('the instant it counts at is not known');
  if (revoked?.reason === 'compromised')
    throw new CompromisedKeyError(keyId, `key ${keyId} of ${person} is listed as compromised`);
  if (revoked && at.getTime() >= Date.parse(revoked.at))
    throw new SlipwayError('KEY_REVOKED', `key ${keyId}: ${person} left on ${revoked.at}`);
  if (expiresAt !== null && at.getTime() >= Date.parse(expiresAt))
    throw new SlipwayError('KEY_REVOKED', `key ${keyId} of ${person} expired on ${expiresAt}`);
}

/** A release's in-toto statement has no such field: its workspace is in the manifest that it signs by digest. */
function checkWorkspace(
  document: Readonly<Record<string, unknown>>,
  workspace: string,
  requirement: Requirement,
): void {
  if (requirement.payloadType === PAYLOAD_TYPES.release) return;
  if (document['workspace'] !== workspace)
    throw new SlipwayError(
      'WORKSPACE_MISMATCH',
      `the document is for workspace ${shown(document['workspace'])}, this is ${workspace}`,
    );
}

function checkRole(key: TrustedKey, requirement: Requirement): void {
  const granted = key.roles.some(
    (grant) => grant.role === requirement.role && (grant.project === '*' || grant.project === requirement.project),
  );
  if (!granted)
    throw new SlipwayError('ROLE_MISSING', `${key.person} is no ${requirement.role} of project ${requirement.project}`);
}

/** Names from outside reach messages and audit entries: short, and without control characters. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : 'none';
}

import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Digest } from '../../workflows/domain/digest';
import { PAYLOAD_TYPES, type Envelope } from '../../workflows/domain/envelope';
import { SlipwayError } from '../../workflows/domain/errors';
import { canonicalBytes } from '../object-store/digest';
import { invalid } from './dsse';
import type { Signer, Trust } from './port';

/** One file of a release under the name it is signed by. */
export interface SignedFile {
  readonly name: string;
  readonly digest: Digest;
}

export interface VerifiedBundle {
  /** Name of the in-toto subject: `<project>/<model>@<version>`. */
  readonly subject: string;
  readonly files: ReadonlyMap<string, Digest>;
  readonly keyId: string;
  readonly person: string;
}

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
const PREDICATE_TYPE = 'https://model_signing/signature/v1.0';
const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
/** How the files were serialised, in the words of OpenSSF model signing: each file as a whole, by SHA-256. */
const SERIALIZATION = { method: 'files', hash_type: 'sha256', allow_symlinks: false, ignore_paths: [] } as const;

const hex = z.string().regex(/^[0-9a-f]{64}$/);

const bundleSchema = z.looseObject({ mediaType: z.literal(BUNDLE_TYPE), dsseEnvelope: z.unknown() });

const statementSchema = z.looseObject({
  _type: z.literal(STATEMENT_TYPE),
  subject: z.tuple([z.strictObject({ name: z.string(), digest: z.strictObject({ sha256: hex }) })]),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: z.looseObject({
    resources: z.array(z.strictObject({ name: z.string().min(1), algorithm: z.literal('sha256'), digest: hex })).min(1),
  }),
});

/**
 * Signature bundle of a release's files in the form of OpenSSF model signing v1.0 (github.com/sigstore/model-transparency):
 * a Sigstore bundle with a DSSE envelope of an in-toto statement. Its subject's digest is the SHA-256 of the files' digests
 * in order of their names; `hint` is the SHA-256 of the public key's PEM.
 */
export function signRelease(signer: Signer, subject: string, files: readonly SignedFile[]): Uint8Array {
  const resources = [...files]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, digest }) => ({ name, algorithm: 'sha256', digest: digest.slice('sha256:'.length) }));
  const statement = {
    _type: STATEMENT_TYPE,
    subject: [{ name: subject, digest: { sha256: rootDigest(resources) } }],
    predicateType: PREDICATE_TYPE,
    predicate: { serialization: SERIALIZATION, resources },
  };
  const hint = createHash('sha256').update(signer.publicKey).digest('hex');
  return canonicalBytes({
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint }, tlogEntries: [] },
    dsseEnvelope: signer.sign(PAYLOAD_TYPES.release, statement),
  });
}

/** Throws SIGNATURE_INVALID on any malformation, and what Trust.verify throws; `at` as in `Requirement`. */
export function verifyReleaseBundle(
  trust: Trust,
  bytes: Uint8Array,
  requirement: { project: string; at: Date },
): VerifiedBundle {
  const bundle = bundleSchema.safeParse(parseJson(bytes));
  if (!bundle.success) throw invalid('it is not a Sigstore bundle with a DSSE envelope');
  const verified = trust.verify(bundle.data.dsseEnvelope as Envelope, {
    payloadType: PAYLOAD_TYPES.release,
    role: 'control',
    ...requirement,
  });
  const statement = statementSchema.safeParse(verified.document);
  if (!statement.success) throw invalid('it is not a model-signing statement');
  const { subject, predicate } = statement.data;
  if (rootDigest(predicate.resources) !== subject[0].digest.sha256)
    throw invalid("the subject's digest is not that of its files");
  const files = new Map<string, Digest>(predicate.resources.map(({ name, digest }) => [name, `sha256:${digest}`]));
  if (files.size !== predicate.resources.length) throw invalid('it names a file twice');
  return { subject: subject[0].name, files, keyId: verified.keyId, person: verified.person };
}

function rootDigest(resources: readonly { readonly digest: string }[]): string {
  const hash = createHash('sha256');
  for (const { digest } of resources) hash.update(Buffer.from(digest, 'hex'));
  return hash.digest('hex');
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new SlipwayError('SIGNATURE_INVALID', 'the signature bundle is not JSON', { cause: error });
  }
}

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { PAYLOAD_TYPES } from '../../../workflows/domain/envelope';
import { SlipwayError } from '../../../workflows/domain/errors';
import { canonicalBytes, digestOf } from '../../../infra/object-store/digest';
import { createSigner } from '../../../infra/signing/keys';
import { signRelease, verifyReleaseBundle } from '../../../infra/signing/model-signing';
import { createTrust } from '../../../infra/signing/trust';
import { testKeys, testPolicy } from '../../support/workspace';

const trust = createTrust(testPolicy());
const files = [
  { name: 'model.onnx', digest: digestOf(Buffer.from('graph')) },
  { name: 'manifest.json', digest: digestOf(Buffer.from('{}')) },
];
const at = new Date('2001-03-01');
const bundle = signRelease(createSigner(testKeys.control), 'flights/late@1', files);

function codeOf(bytes: Uint8Array): string {
  try {
    verifyReleaseBundle(trust, bytes, { project: 'flights', at });
  } catch (error) {
    if (error instanceof SlipwayError) return error.code;
    throw error;
  }
  return 'none';
}

describe('a release signature', () => {
  it('has the form of OpenSSF model signing', () => {
    const json = JSON.parse(Buffer.from(bundle).toString()) as {
      mediaType: string;
      dsseEnvelope: { payload: string; payloadType: string };
    };
    const statement = JSON.parse(Buffer.from(json.dsseEnvelope.payload, 'base64').toString()) as Record<
      string,
      unknown
    >;
    const sorted = [files[1]!, files[0]!].map(({ digest }) => Buffer.from(digest.slice(7), 'hex'));
    expect(json.mediaType).toBe('application/vnd.dev.sigstore.bundle.v0.3+json');
    expect(json.dsseEnvelope.payloadType).toBe('application/vnd.in-toto+json');
    expect(statement).toMatchObject({
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: 'https://model_signing/signature/v1.0',
      subject: [
        {
          name: 'flights/late@1',
          digest: { sha256: createHash('sha256').update(Buffer.concat(sorted)).digest('hex') },
        },
      ],
      predicate: {
        serialization: { method: 'files', hash_type: 'sha256' },
        resources: [{ name: 'manifest.json', algorithm: 'sha256' }, { name: 'model.onnx' }],
      },
    });
  });

  it('verifies to the files that it covers', () => {
    const verified = verifyReleaseBundle(trust, bundle, { project: 'flights', at });
    expect(verified).toMatchObject({ subject: 'flights/late@1', person: 'process:control' });
    expect(verified.files.get('model.onnx')).toBe(files[0]!.digest);
  });

  it('fails with any byte of its signed part changed, and never crashes', () => {
    const text = Buffer.from(bundle).toString();
    const from = text.indexOf('"dsseEnvelope"');
    const until = text.indexOf('"mediaType"');
    fc.assert(
      fc.property(fc.integer({ min: from, max: until - 3 }), fc.integer({ min: 1, max: 255 }), (place, mask) => {
        const changed = Buffer.from(bundle);
        changed[place] = changed[place]! ^ mask;
        expect(['SIGNATURE_INVALID', 'KEY_UNKNOWN']).toContain(codeOf(changed));
      }),
      { seed: 21, numRuns: 2_000 },
    );
  });

  it('does not count when another role than control signed it, or when it signs something else', () => {
    expect(codeOf(signRelease(createSigner(testKeys.developer), 'flights/late@1', files))).toBe('ROLE_MISSING');
    const signed = createSigner(testKeys.control).sign(PAYLOAD_TYPES.release, { _type: 'other' });
    expect(
      codeOf(canonicalBytes({ mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json', dsseEnvelope: signed })),
    ).toBe('SIGNATURE_INVALID');
    expect(codeOf(Buffer.from('no json'))).toBe('SIGNATURE_INVALID');
  });
});

import { createPrivateKey, sign } from 'node:crypto';
import fc from 'fast-check';
import { canonicalJson } from '../../../workflows/domain/digest';
import { PAYLOAD_TYPES, type Envelope } from '../../../workflows/domain/envelope';
import { SlipwayError } from '../../../workflows/domain/errors';
import { parseEnvelope, preAuthenticationEncoding } from '../../../infra/signing/dsse';
import { createSigner } from '../../../infra/signing/keys';
import { createTrust } from '../../../infra/signing/trust';
import { testKeys, testPolicy } from '../../support/workspace';

const trust = createTrust(testPolicy());
const signer = createSigner(testKeys.ana);
const requirement = {
  payloadType: PAYLOAD_TYPES.approval,
  role: 'approver',
  project: 'flights',
  at: new Date('2001-03-01'),
} as const;

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof SlipwayError) return error.code;
    throw error;
  }
  return 'none';
}

const document = { workspace: 'dev', decision: 'approve', comment: 'é ✓' };

describe('signed envelopes', () => {
  it('encode type and payload as the DSSE specification does', () => {
    expect(preAuthenticationEncoding('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
    expect(preAuthenticationEncoding('é', Buffer.from('✓')).toString()).toBe('DSSEv1 2 é 3 ✓');
  });

  it('give back any JSON document that was signed', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const signed = { ...value, workspace: 'dev' };
        const stored = Buffer.from(canonicalJson(signer.sign(PAYLOAD_TYPES.approval, signed)));
        const verified = trust.verify(parseEnvelope(stored), requirement);
        expect(canonicalJson(verified.document)).toBe(canonicalJson(signed));
        expect(verified.person).toBe('person:ana');
      }),
      { seed: 11, numRuns: 200 },
    );
  });

  it('fail with a refusal whichever byte of the stored envelope is changed', () => {
    const stored = Buffer.from(canonicalJson(signer.sign(PAYLOAD_TYPES.approval, document)));
    fc.assert(
      fc.property(fc.nat(stored.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = Buffer.from(stored);
        changed[at] = changed[at]! ^ mask;
        expect(['SIGNATURE_INVALID', 'KEY_UNKNOWN']).toContain(
          codeOf(() => trust.verify(parseEnvelope(changed), requirement)),
        );
      }),
      { seed: 12, numRuns: 3_000 },
    );
  });

  it('are refused, never crash, whatever value comes in their place', () => {
    const strange = fc.anything({ withBigInt: true, withMap: true, withNullPrototype: true });
    const nearly = fc.record({
      payloadType: fc.constant(PAYLOAD_TYPES.approval),
      payload: fc.oneof(fc.string(), strange),
      signatures: fc.array(fc.record({ keyid: fc.string(), sig: fc.string() })),
    });
    fc.assert(
      fc.property(fc.oneof(strange, nearly), (value) => {
        expect(['SIGNATURE_INVALID', 'KEY_UNKNOWN']).toContain(
          codeOf(() => trust.verify(value as Envelope, requirement)),
        );
      }),
      { seed: 13, numRuns: 1_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) =>
        expect(codeOf(() => parseEnvelope(bytes))).toBe('SIGNATURE_INVALID'),
      ),
      { seed: 14, numRuns: 500 },
    );
  });

  it('are refused when a valid signature covers JSON that is not canonical', () => {
    const loose = Buffer.from('{"workspace": "dev"}');
    const raw = signer.sign(PAYLOAD_TYPES.approval, {});
    const sig = sign(
      null,
      preAuthenticationEncoding(PAYLOAD_TYPES.approval, loose),
      createPrivateKey(testKeys.ana.privateKey),
    ).toString('base64');
    const envelope = { ...raw, payload: loose.toString('base64'), signatures: [{ keyid: testKeys.ana.keyId, sig }] };
    expect(() => trust.verify(envelope, requirement)).toThrow('canonical');
  });

  it('are refused with base64 of another alphabet, padding or trailing bits', () => {
    const good = signer.sign(PAYLOAD_TYPES.approval, document);
    for (const payload of [`${good.payload}=`, ` ${good.payload}`, good.payload.replace(/=+$/, '') + '\n'])
      expect(codeOf(() => trust.verify({ ...good, payload }, requirement))).toBe('SIGNATURE_INVALID');
  });
});

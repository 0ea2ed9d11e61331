import { z } from 'zod';
import { canonicalJson, type Digest } from '../../workflows/domain/digest';
import type { Envelope, PayloadType } from '../../workflows/domain/envelope';
import { SlipwayError } from '../../workflows/domain/errors';
import { digestOfJson } from '../object-store/digest';

/**
 * Pre-authentication encoding, protocol.md of DSSE v1.0.2: "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload, lengths in
 * bytes as ASCII decimals. Signing it binds the type, so that a signed route is never taken for a signed approval.
 */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const typeBytes = Buffer.byteLength(payloadType, 'utf8');
  return Buffer.concat([Buffer.from(`DSSEv1 ${typeBytes} ${payloadType} ${payload.length} `, 'utf8'), payload]);
}

/** Wraps canonical bytes of a document; `signBytes` gives the raw signature of the encoding. */
export function wrapSigned(
  payloadType: PayloadType,
  document: unknown,
  keyid: string,
  signBytes: (bytes: Uint8Array) => Uint8Array,
): Envelope {
  const payload = Buffer.from(canonicalJson(document), 'utf8');
  const sig = Buffer.from(signBytes(preAuthenticationEncoding(payloadType, payload))).toString('base64');
  return { payloadType, payload: payload.toString('base64'), signatures: [{ keyid, sig }] };
}

/** One signature, since every document of Slipway is one decision of one key; quorums are of separate envelopes. */
const envelopeSchema = z.strictObject({
  payloadType: z.string(),
  payload: z.string(),
  signatures: z.tuple([z.strictObject({ keyid: z.string(), sig: z.string() })]),
});

/** An envelope's parts, decoded but not yet verified. */
export interface OpenEnvelope {
  readonly payloadType: string;
  readonly payload: Buffer;
  readonly keyId: string;
  readonly signature: Buffer;
}

/** Takes any value for an envelope. Throws SIGNATURE_INVALID on every other shape, and on base64 that is not the canonical one. */
export function openEnvelope(value: unknown): OpenEnvelope {
  const parsed = envelopeSchema.safeParse(value);
  if (!parsed.success) throw invalid('it is not a DSSE envelope with one signature');
  const { payloadType, payload, signatures } = parsed.data;
  return {
    payloadType,
    payload: decodeBase64(payload, 'payload'),
    keyId: signatures[0].keyid,
    signature: decodeBase64(signatures[0].sig, 'signature'),
  };
}

/**
 * Names a signed decision by who signed what: two people may sign the same bytes, and one may send them wrapped anew.
 * Throws SIGNATURE_INVALID.
 */
export function decisionDigest(envelope: unknown): Digest {
  const { payloadType, payload, keyId } = openEnvelope(envelope);
  return digestOfJson({ payloadType, payload: payload.toString('base64'), keyId });
}

/** An envelope as it is stored: JSON in UTF-8. Throws SIGNATURE_INVALID. */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  const value = parseJson(bytes);
  openEnvelope(value);
  return value as Envelope;
}

/**
 * The document in a payload. Only canonical JSON is accepted, so that one document has one digest whichever way it came, and
 * repeated properties cannot mean one thing to one reader and another to the next. Throws SIGNATURE_INVALID.
 */
export function parsePayload(payload: Uint8Array): Readonly<Record<string, unknown>> {
  const document = parseJson(payload);
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw invalid('its payload is no object');
  if (!Buffer.from(canonicalJson(document), 'utf8').equals(payload)) throw invalid('its payload is not canonical JSON');
  return document as Readonly<Record<string, unknown>>;
}

export function invalid(reason: string, cause?: unknown): SlipwayError {
  return new SlipwayError('SIGNATURE_INVALID', `the signed document cannot be accepted: ${reason}`, { cause });
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw invalid('it is not JSON in UTF-8', error);
  }
}

/** Node skips characters that are not base64; encoding again shows whether there were any. */
function decodeBase64(text: string, what: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw invalid(`its ${what} is not base64`);
  return bytes;
}

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, jwtVerify } from 'jose';
import { followFile, type FollowedFile } from '../../../infra/config/follow-file';
import { type Logger, silentLogger } from '../../../infra/telemetry/log';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { RequestHeaders } from '../inference/inference-context';
import type { CallerEntry, GatewayFile, Rate, TokenIssuer } from './gateway-file';

/** Who sent a request, and what they may do. */
export interface Caller {
  readonly name: string;
  /** Patterns of models. */
  readonly models: readonly string[];
  readonly rate: Rate | null;
}

/** Where the operator named no callers: everybody, and every model. */
export const ANYBODY: Caller = { name: 'anybody', models: ['*'], rate: null };

const MAX_CREDENTIAL_LENGTH = 8_192;
const MAX_KEPT_TOKENS = 10_000;
const CLOCK_TOLERANCE_SECONDS = 30;
/** Signatures only: with a shared secret, whoever can check a token could make one. */
const ALGORITHMS = ['EdDSA', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'];

interface KnownToken {
  readonly caller: Caller;
  readonly expiresMs: number;
}

type KeySet = ReturnType<typeof createLocalJWKSet>;

interface Issuer extends TokenIssuer {
  /** Read again when it changes: issuers renew their keys. */
  readonly keySet: FollowedFile<KeySet>;
  /** Under which the tokens that are remembered were verified. */
  verifiedBy: KeySet;
}

interface VerifiedToken extends KnownToken {
  readonly issuer: Issuer;
  readonly verifiedBy: KeySet;
}

/**
 * Knows callers by API key or by token. Keys are looked up by a keyed hash of their hash, under a secret of this process, so
 * that the time of a look-up says nothing about a key; tokens that verified are remembered by hash until they expire.
 */
export class Callers {
  private readonly secret = randomBytes(32);
  private readonly byKey: ReadonlyMap<string, { readonly caller: Caller; readonly hash: Buffer }>;
  private readonly issuers: ReadonlyMap<string, Issuer>;
  private readonly tokens = new Map<string, KnownToken>();

  /** Throws CONFIG_INVALID where an issuer's keys cannot be read. */
  constructor(
    { callers, tokens }: Pick<GatewayFile, 'callers' | 'tokens'>,
    private readonly clock: () => number = Date.now,
    logger: Logger = silentLogger,
  ) {
    this.byKey = new Map(callers.map((entry) => this.keyed(entry)));
    this.issuers = new Map(tokens.map((issuer) => [issuer.issuer, openIssuer(issuer, logger)]));
  }

  get isOpen(): boolean {
    return this.byKey.size === 0 && this.issuers.size === 0;
  }

  /** At once for API keys and for tokens that are known. Throws, or rejects with, UNAUTHENTICATED. */
  identify(headers: RequestHeaders): Caller | Promise<Caller> {
    if (this.isOpen) return ANYBODY;
    const credential = credentialOf(headers);
    if (credential === null) throw unauthenticated('the request has no API key and no token');
    if (credential.length > MAX_CREDENTIAL_LENGTH) throw unauthenticated('the credential is too long');
    return isToken(credential) && this.issuers.size > 0 ? this.byToken(credential) : this.byApiKey(credential);
  }

  private byApiKey(key: string): Caller {
    const hash = sha256(key);
    const known = this.byKey.get(this.lookupKey(hash));
    if (known && timingSafeEqual(known.hash, hash)) return known.caller;
    throw unauthenticated('the API key is not known here');
  }

  private keyed({ name, apiKey, models, rate }: CallerEntry): [string, { caller: Caller; hash: Buffer }] {
    const hash = Buffer.from(apiKey, 'hex');
    return [this.lookupKey(hash), { caller: { name, models, rate }, hash }];
  }

  private lookupKey(hash: Buffer): string {
    return createHmac('sha256', this.secret).update(hash).digest('base64');
  }

  private byToken(token: string): Caller | Promise<Caller> {
    this.forgetOldKeys();
    const key = this.lookupKey(sha256(token));
    const known = this.tokens.get(key);
    if (known && known.expiresMs > this.clock()) return known.caller;
    this.tokens.delete(key);
    return this.verify(token).then(({ issuer, verifiedBy, ...verified }) => {
      // Its keys may have changed meanwhile.
      if (verifiedBy !== issuer.keySet.value) return verified.caller;
      if (this.tokens.size >= MAX_KEPT_TOKENS) this.tokens.delete(this.tokens.keys().next().value!);
      this.tokens.set(key, verified);
      return verified.caller;
    });
  }

  /** A key that its issuer took out must not count on in what is remembered. */
  private forgetOldKeys(): void {
    for (const issuer of this.issuers.values()) {
      const { value } = issuer.keySet;
      if (value === issuer.verifiedBy) continue;
      issuer.verifiedBy = value;
      this.tokens.clear();
    }
  }

  private async verify(token: string): Promise<VerifiedToken> {
    try {
      const issuer = this.issuers.get(decodeJwt(token).iss ?? '');
      if (!issuer) throw unauthenticated('the token is of an issuer that is not taken here');
      const verifiedBy = issuer.keySet.value;
      const { payload } = await jwtVerify(token, verifiedBy, {
        issuer: issuer.issuer,
        audience: issuer.audience,
        algorithms: ALGORITHMS,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(this.clock()),
      });
      const caller: Caller = {
        name: `${issuer.issuer} ${payload.sub!}`,
        models: modelsOf(payload[issuer.models]),
        rate: issuer.rate,
      };
      return { issuer, verifiedBy, caller, expiresMs: (payload.exp! + CLOCK_TOLERANCE_SECONDS) * 1_000 };
    } catch (error) {
      if (error instanceof errors.JOSEError) throw unauthenticated(`the token does not verify: ${error.message}`);
      throw error;
    }
  }
}

function unauthenticated(message: string): SlipwayError {
  return new SlipwayError('UNAUTHENTICATED', message);
}

function credentialOf(headers: RequestHeaders): string | null {
  const key = headers['x-api-key'];
  if (typeof key === 'string' && key !== '') return key;
  const { authorization } = headers;
  if (typeof authorization !== 'string' || !/^bearer /i.test(authorization)) return null;
  return authorization.slice('bearer '.length).trim() || null;
}

/** The compact form of a signed token (RFC 7515, section 7.1). */
function isToken(credential: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(credential);
}

/** As a list or as one text with spaces between, as `scope` is (RFC 8693, section 4.2). */
function modelsOf(claim: unknown): readonly string[] {
  if (typeof claim === 'string') return claim.split(' ').filter((part) => part !== '');
  return Array.isArray(claim) ? claim.filter((part) => typeof part === 'string') : [];
}

function sha256(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}

function openIssuer(issuer: TokenIssuer, logger: Logger): Issuer {
  const keySet = followFile(issuer.keys, { what: 'key set', parse: (text) => parseKeySet(text, issuer.keys), logger });
  return { ...issuer, keySet, verifiedBy: keySet.value };
}

function parseKeySet(text: string, file: string): KeySet {
  try {
    return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
  } catch (error) {
    throw new SlipwayError('CONFIG_INVALID', `${file} is no JSON Web Key Set: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

import { createHash } from 'node:crypto';
import { parseEnvelope } from '../../../infra/signing/dsse';
import type { Trust, TrustedKey, WorkspacePolicy } from '../../../infra/signing/port';
import { createTrust } from '../../../infra/signing/trust';
import { type ArmPermit, LONGEST_ARM_PERMIT_MS } from '../../../workflows/domain/arm-permit';
import { type Envelope, PAYLOAD_TYPES } from '../../../workflows/domain/envelope';
import { SlipwayError } from '../../../workflows/domain/errors';
import { type ModelName, parseModelName } from '../../../workflows/domain/names';

const MAX_HEADER_LENGTH = 8_192;
const MAX_KEPT = 1_000;
const CLOCK_TOLERANCE_MS = 60_000;

interface KnownPermit {
  readonly permit: ArmPermit;
  /** Until its key expires or whose it is leaves. */
  readonly untilMs: number;
}

/** Which arm testers may ask for. A permit is verified once, and again when the policy changes or its key is over. */
export class ArmPermits {
  private readonly known = new Map<string, KnownPermit>();
  /** Made of `policy`; its own is a copy. */
  private current: { readonly policy: WorkspacePolicy; readonly trust: Trust } | null = null;

  constructor(
    private readonly policy: () => WorkspacePolicy,
    private readonly clock: () => number = Date.now,
  ) {}

  /** The arm that the header asks for. Throws REQUEST_INVALID, COMMAND_EXPIRED, COMMAND_REFUSED, and what a signature is refused with. */
  armOf(header: string | readonly string[], model: ModelName): string {
    if (typeof header !== 'string' || header.length > MAX_HEADER_LENGTH)
      throw new SlipwayError('REQUEST_INVALID', '`slipway-arm` must be one signed permit');
    const permit = this.permitOf(header, model);
    if (permit.model !== model)
      throw new SlipwayError('COMMAND_REFUSED', `the permit is for ${permit.model}, not for ${model}`);
    if (Date.parse(permit.expiresAt) <= this.clock())
      throw new SlipwayError('COMMAND_EXPIRED', `the permit ended at ${permit.expiresAt}`);
    return permit.arm;
  }

  private permitOf(header: string, model: ModelName): ArmPermit {
    const policy = this.policy();
    const hash = createHash('sha256').update(header).digest('base64');
    const known = this.current?.policy === policy ? this.known.get(hash) : undefined;
    if (known && known.untilMs > this.clock()) return known.permit;
    this.known.delete(hash);
    // What is no envelope at all costs no trust.
    const envelope = parseEnvelope(Buffer.from(header, 'base64url'));
    const verified = this.verify(this.trustOf(policy), envelope, model);
    if (this.known.size >= MAX_KEPT) this.known.delete(this.known.keys().next().value!);
    this.known.set(hash, verified);
    return verified.permit;
  }

  private trustOf(policy: WorkspacePolicy): Trust {
    if (this.current?.policy === policy) return this.current.trust;
    this.known.clear();
    this.current = { policy, trust: createTrust(policy) };
    return this.current.trust;
  }

  private verify(trust: Trust, envelope: Envelope, model: ModelName): KnownPermit {
    const { document, keyId } = trust.verify<unknown>(envelope, {
      payloadType: PAYLOAD_TYPES.arm,
      role: 'operator',
      project: parseModelName(model)!.project,
      at: new Date(this.clock()),
    });
    if (!isPermit(document)) throw new SlipwayError('SIGNATURE_INVALID', 'what was signed is no permit for an arm');
    const [fromMs, toMs] = [Date.parse(document.issuedAt), Date.parse(document.expiresAt)];
    // Also false where one of them is no time.
    if (!(fromMs <= this.clock() + CLOCK_TOLERANCE_MS && toMs - fromMs <= LONGEST_ARM_PERMIT_MS))
      throw new SlipwayError('COMMAND_EXPIRED', 'the permit is of the future, or for longer than a week');
    return { permit: document, untilMs: endOf(trust.policy.keys.find((key) => key.keyId === keyId)) };
  }
}

/** Epoch ms; Infinity for a key without an end. */
function endOf(key: TrustedKey | undefined): number {
  const ends = [key?.expiresAt, key?.revoked?.at].map((at) => (at ? Date.parse(at) : Infinity));
  return Math.min(...ends);
}

function isPermit(document: unknown): document is ArmPermit {
  if (typeof document !== 'object' || document === null) return false;
  const { schema, model, arm, issuedAt, expiresAt } = document as Record<string, unknown>;
  return schema === 'slipway.arm/1' && [model, arm, issuedAt, expiresAt].every((part) => typeof part === 'string');
}

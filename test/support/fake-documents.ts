import { Context } from '@temporalio/activity';
import type { ApprovalDocument, CommandAction, CommandDocument } from '../../workflows/domain/approval';
import type { Digest } from '../../workflows/domain/digest';
import type { Envelope } from '../../workflows/domain/envelope';
import type { ReleaseRef } from '../../workflows/domain/release';
import type { CanaryReport, QualityReport } from '../../workflows/domain/rollout';
import type { RolloutSpec } from '../../workflows/domain/spec';
import type { Outcome, Verdict } from '../../workflows/domain/verdict';

export const DAY_MS = 86_400_000;
export const digestFor = (name: string): Digest =>
  `sha256:${Buffer.from(name).toString('hex').padEnd(64, '0').slice(0, 64)}`;
export const auditRef = { sequence: 1, digest: digestFor('audit') } as const;

export function releaseRef(model: string, version: number): ReleaseRef {
  return { model, version, digest: digestFor(`release ${version}`) };
}

/** The payload is real, the signature is not: whether it counts is decided by the fakes below. */
export function fakeEnvelope(document: unknown, signer = 'person:ana'): Envelope {
  const payload = Buffer.from(JSON.stringify(document)).toString('base64');
  return {
    payloadType: 'application/vnd.slipway.command.v1+json',
    payload,
    signatures: [{ keyid: signer, sig: 'c2ln' }],
  };
}

export function fakeCommand(
  model: string,
  action: CommandAction,
  args: Readonly<Record<string, unknown>> = {},
  signer = 'person:olga',
): Envelope {
  const document: CommandDocument = {
    schema: 'slipway.command/1',
    workspace: 'test',
    action,
    target: model,
    args,
    nonce: 'n',
    issuedAt: '2001-01-01T00:00:00Z',
    expiresAt: '2001-01-02T00:00:00Z',
  };
  return fakeEnvelope(document, signer);
}

export function fakeApproval(release: ReleaseRef, person: string, over: Partial<ApprovalDocument> = {}): Envelope {
  const document: ApprovalDocument = {
    schema: 'slipway.approval/1',
    decision: 'approve',
    workspace: 'test',
    release,
    evidence: digestFor('evidence'),
    comment: '',
    at: '2001-01-01T00:00:00Z',
    expiresAt: '2001-02-01T00:00:00Z',
    ...over,
  };
  return fakeEnvelope(document, person);
}

export function documentOf<T>(envelope: Envelope): T {
  return JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8')) as T;
}

export function verdict(check: string, outcome: Outcome): Verdict {
  return {
    check,
    outcome,
    statistic: { name: 'e-value', value: 1 },
    bound: { name: 'threshold', value: 20 },
    counts: { keys: 100 },
    detail: `${check} is ${outcome}`,
    resolves: outcome === 'inconclusive' ? 'more keys' : '',
  };
}

export function canaryReport(outcome: Outcome, over: Partial<CanaryReport> = {}): CanaryReport {
  return {
    reason: outcome === 'fail' ? 'verdict' : 'step-over',
    verdicts: [verdict('errors', outcome)],
    evidence: digestFor('canary evidence'),
    watermark: '2001-03-20T00:00:00.000Z',
    ...over,
  };
}

export function qualityReport(outcome: Outcome): QualityReport {
  return { verdict: verdict('quality', outcome), evidence: digestFor('quality evidence') };
}

/** A watch that sees nothing until it is told to stop. */
export async function untilCancelled(): Promise<never> {
  for (;;) {
    Context.current().heartbeat();
    await Context.current().sleep(50);
  }
}

export const QUALITY_CHECK = { metric: 'logLoss', require: 'better', margin: 0, alpha: 0.05, minDays: 3 } as const;

/** Arms of a route under which one release serves everybody, as `FakeWorld.served` says it. */
export function alone(version: number): Record<string, [number, number]> {
  return { champion: [version, 1] };
}

export const ROLLOUT_SPEC: RolloutSpec = {
  bootstrap: 'direct',
  steps: [
    { weight: 0.1, forMs: 60_000 },
    { weight: 0.5, forMs: 60_000 },
  ],
  bakeMs: 60_000,
  extensions: 1,
  errors: { margin: 0.01, alpha: 0.05, minKeys: 10 },
  disagreement: null,
  quality: null,
};

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApprovalDocument, CommandDocument } from '../../workflows/domain/approval';
import { PAYLOAD_TYPES, type Envelope, type Role } from '../../workflows/domain/envelope';
import { createAuditLog } from '../../infra/audit/log';
import type { AuditLog } from '../../infra/audit/port';
import { createBlobStore } from '../../infra/object-store/blobs';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { createReleaseRegistry } from '../../infra/releases/registry';
import type { ReleaseRegistry } from '../../infra/releases/port';
import { createRouteReader } from '../../infra/routes/reader';
import type { RouteReader } from '../../infra/routes/port';
import { createSigner, generateKey, trustedKey, type PrivateKey } from '../../infra/signing/keys';
import { createTrust } from '../../infra/signing/trust';
import type { Signer, Trust, TrustedKey, WorkspacePolicy } from '../../infra/signing/port';
import { createMemoryStore } from './memory-store';

/** Keys of the test workspace, generated once: Ed25519 needs no fixed keys to be tested. */
export const testKeys = {
  control: generateKey('control', 'process:control'),
  developer: generateKey('developer', 'person:developer'),
  ana: generateKey('approver-1', 'person:ana'),
  anaSecond: generateKey('approver-1b', 'person:ana'),
  ben: generateKey('approver-2', 'person:ben'),
  viewer: generateKey('viewer', 'person:vera'),
  /** Not in the trust policy. */
  foreign: generateKey('foreign', 'person:mallory'),
} satisfies Record<string, PrivateKey>;

const roles: Readonly<Record<Exclude<keyof typeof testKeys, 'foreign'>, readonly Role[]>> = {
  control: ['control'],
  developer: ['trainer', 'operator', 'viewer', 'approver'],
  ana: ['approver'],
  anaSecond: ['approver'],
  ben: ['approver'],
  viewer: ['viewer'],
};

export function testPolicy(
  changes: Partial<WorkspacePolicy> = {},
  keyChanges: Partial<Record<keyof typeof roles, Partial<TrustedKey>>> = {},
): WorkspacePolicy {
  const keys = (Object.keys(roles) as (keyof typeof roles)[]).map((name) => ({
    ...trustedKey(testKeys[name], roles[name]),
    ...keyChanges[name],
  }));
  return { workspace: 'dev', keys, minApprovals: 0, production: false, ...changes };
}

/** A clock that tests set. */
export interface TestClock {
  (): Date;
  now: Date;
}

export function testClock(start = '2001-03-01T00:00:00.000Z'): TestClock {
  const clock = Object.assign(() => clock.now, { now: new Date(start) });
  return clock;
}

export interface TestWorkspace {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly trust: Trust;
  readonly audit: AuditLog;
  readonly signer: Signer;
  readonly registry: ReleaseRegistry;
  readonly reader: RouteReader;
  readonly clock: TestClock;
  readonly workspace: string;
}

/** Everything the control worker wires, over a store in memory or the one given. */
export function testWorkspace(
  options: { store?: ObjectStore; policy?: WorkspacePolicy; clock?: TestClock } = {},
): TestWorkspace {
  const store = options.store ?? createMemoryStore();
  const clock = options.clock ?? testClock();
  const trust = createTrust(options.policy ?? testPolicy());
  const signer = createSigner(testKeys.control);
  const blobs = createBlobStore(store, join(tmpdir(), 'slipway-test-unused-cache'));
  const { workspace } = trust.policy;
  const audit = createAuditLog(store, { workspace, signer, clock });
  return {
    store,
    blobs,
    trust,
    audit,
    signer,
    registry: createReleaseRegistry({ store, blobs, trust, audit, clock }),
    reader: createRouteReader({ store, trust, audit }),
    clock,
    workspace,
  };
}

export function signCommand(
  key: PrivateKey,
  command: Partial<CommandDocument> & Pick<CommandDocument, 'action' | 'target'>,
): Envelope {
  const document: CommandDocument = {
    schema: 'slipway.command/1',
    workspace: 'dev',
    args: {},
    nonce: 'nonce-1',
    issuedAt: '2001-03-01T00:00:00.000Z',
    expiresAt: '2001-03-01T01:00:00.000Z',
    ...command,
  };
  return createSigner(key).sign(PAYLOAD_TYPES.command, document);
}

export function signApproval(
  key: PrivateKey,
  approval: Partial<ApprovalDocument> & Pick<ApprovalDocument, 'release' | 'evidence'>,
): Envelope {
  const document: ApprovalDocument = {
    schema: 'slipway.approval/1',
    decision: 'approve',
    workspace: 'dev',
    comment: 'looks right',
    at: '2001-03-01T00:00:00.000Z',
    expiresAt: '2001-03-08T00:00:00.000Z',
    ...approval,
  };
  return createSigner(key).sign(PAYLOAD_TYPES.approval, document);
}

import { signArmPermit } from '../../../client/signed-documents';
import { createSigner } from '../../../infra/signing/keys';
import type { TrustedKey, WorkspacePolicy } from '../../../infra/signing/port';
import { ArmPermits } from '../../../workers/gateway/edge/arm-permits';
import { SlipwayError } from '../../../workflows/domain/errors';
import { testKeys, testPolicy } from '../../support/workspace';

const HOUR_MS = 3_600_000;
const MODEL = 'flights/x';
const NOW_MS = Date.now();
const validMs = 6 * 24 * HOUR_MS;
const header = signArmPermit(createSigner(testKeys.developer), {
  ...{ workspace: 'dev', model: MODEL, arm: 'challenger', validMs },
});

function outcome(permits: ArmPermits, given: string = header): string {
  try {
    return permits.armOf(given, MODEL);
  } catch (error) {
    return error instanceof SlipwayError ? error.code : String(error);
  }
}

/** A policy, and how often a trust was made of it. */
function watched(): { readonly policy: WorkspacePolicy; readonly made: () => number } {
  let made = 0;
  const { keys, ...rest } = testPolicy();
  const policy = {
    ...rest,
    get keys() {
      made += 1;
      return keys;
    },
  };
  return { policy, made: () => made };
}

describe('permits for an arm', () => {
  it('are verified once: a trust is made of a policy once, and again of another one', () => {
    const [first, second] = [watched(), watched()];
    let { policy } = first;
    const permits = new ArmPermits(() => policy);
    expect(outcome(permits)).toBe('challenger');
    const once = first.made();
    for (let call = 0; call < 20; call += 1) expect(outcome(permits)).toBe('challenger');
    expect(first.made()).toBe(once);
    ({ policy } = second);
    expect([outcome(permits), second.made()]).toEqual(['challenger', once]);
  });

  it('are taken back with the policy that knew their key', () => {
    let policy = testPolicy();
    const permits = new ArmPermits(() => policy);
    expect(outcome(permits)).toBe('challenger');
    policy = { ...policy, keys: policy.keys.filter(({ person }) => person !== 'person:developer') };
    expect(outcome(permits)).toBe('KEY_UNKNOWN');
  });

  it.each(['', 'challenger', Buffer.from('{}').toString('base64url'), 'A'.repeat(8_000)])(
    'that are none cost no trust: %.20s',
    (given) => {
      const { policy, made } = watched();
      expect([outcome(new ArmPermits(() => policy), given), made()]).toEqual(['SIGNATURE_INVALID', 0]);
    },
  );

  const end = new Date(NOW_MS + HOUR_MS).toISOString();
  const ends: readonly (readonly [string, Partial<TrustedKey>])[] = [
    ['expires', { expiresAt: end }],
    ['is of a person who leaves', { revoked: { at: end, reason: 'left' } }],
  ];
  it.each(ends)('do not outlive a key that %s, remembered or not', (_, change) => {
    const policy = testPolicy({}, { developer: change });
    let nowMs = NOW_MS;
    const permits = new ArmPermits(
      () => policy,
      () => nowMs,
    );
    expect(outcome(permits)).toBe('challenger');
    nowMs = NOW_MS + HOUR_MS - 1;
    expect(outcome(permits)).toBe('challenger');
    nowMs = NOW_MS + HOUR_MS;
    expect(outcome(permits)).toBe('KEY_REVOKED');
  });
});

import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compromisedKeyOf } from '../../../infra/signing/compromised-key';
import { followTrust, type FollowedTrust } from '../../../infra/signing/follow-trust';
import { createSigner } from '../../../infra/signing/keys';
import { silentLogger } from '../../../infra/telemetry/log';
import { PAYLOAD_TYPES } from '../../../workflows/domain/envelope';
import { testKeys, testPolicy } from '../../support/workspace';

let folder: string;
let file: string;
let nowMs: number;
let errors: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-trust-'));
  file = join(folder, 'trust.json');
  nowMs = 0;
  errors = [];
  write(testPolicy());
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(value: unknown): void {
  writeFileSync(`${file}.new`, typeof value === 'string' ? value : JSON.stringify(value));
  renameSync(`${file}.new`, file);
}

const follow = (): FollowedTrust =>
  followTrust(file, {
    logger: { ...silentLogger, error: ({ err }) => errors.push((err as Error).message) },
    nowMs: () => nowMs,
  });

/** Ana, or the error that her signature meets. */
function ask(trust: FollowedTrust): unknown {
  const envelope = createSigner(testKeys.ana).sign(PAYLOAD_TYPES.approval, { workspace: 'dev' });
  try {
    return trust.verify(envelope, {
      payloadType: PAYLOAD_TYPES.approval,
      role: 'approver',
      project: 'flights',
      at: new Date('2001-03-01'),
    }).person;
  } catch (error) {
    return error;
  }
}

const compromised = testPolicy({}, { ana: { revoked: { at: '2001-03-01T00:00:00.000Z', reason: 'compromised' } } });

describe('trust that follows its file', () => {
  it('believes a key until the file lists it as compromised, and sees that a second later', () => {
    const trust = follow();
    const before = trust.policy;
    expect(ask(trust)).toBe('person:ana');
    write(compromised);
    nowMs = 999;
    expect(ask(trust)).toBe('person:ana');
    nowMs = 1_000;
    expect(compromisedKeyOf(ask(trust))).toBe(testKeys.ana.keyId);
    expect(trust.policy).not.toBe(before);
  });

  it('keeps the same policy object while the file says the same, however often it is written', () => {
    const trust = follow();
    const before = trust.policy;
    for (nowMs = 1_000; nowMs < 5_000; nowMs += 1_000) {
      write(testPolicy());
      expect(trust.policy).toBe(before);
    }
  });

  it('sees a file that was written in place, with the same size and an older date', () => {
    const trust = follow();
    const text = JSON.stringify(testPolicy());
    writeFileSync(file, text.replace('"minApprovals":0', '"minApprovals":3'));
    utimesSync(file, 1, 1);
    nowMs = 1_000;
    expect(trust.policy.minApprovals).toBe(3);
  });

  it('keeps the last good policy when the file is gone, torn, invalid or of another workspace; counts, and tells once', () => {
    const trust = follow();
    const bad: (() => void)[] = [
      () => rmSync(file),
      () => write(JSON.stringify(compromised).slice(0, 300)),
      () => write({ ...compromised, keys: 'all' }),
      () => write({ ...compromised, workspace: 'prod' }),
    ];
    for (const spoil of bad) {
      spoil();
      for (let look = 0; look < 3; look += 1) {
        nowMs += 1_000;
        expect(ask(trust)).toBe('person:ana');
      }
    }
    expect(trust.failedLooks).toBe(12);
    expect(errors.map((message) => message.replace(file, 'FILE').slice(0, 27))).toEqual([
      'trust: FILE cannot be read:',
      'trust: FILE cannot be read:',
      'trust: FILE: keys: Invalid ',
      'trust: the file is of works',
    ]);
    write(compromised);
    nowMs += 1_000;
    expect(compromisedKeyOf(ask(trust))).toBe(testKeys.ana.keyId);
  });

  it('does not start without a file that can be read', () => {
    rmSync(file);
    expect(follow).toThrow(/^trust: .* cannot be read: ENOENT/);
  });
});

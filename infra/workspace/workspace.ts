import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Role } from '../../workflows/domain/envelope';
import type { SlipwayConfig } from '../config/config';
import { generateKey, loadKey, type PrivateKey, saveKey, trustedKey } from '../signing/keys';
import type { WorkspacePolicy } from '../signing/port';

interface DevelopmentKey {
  readonly name: string;
  readonly person: string;
  readonly roles: readonly Role[];
}

/** Whoever runs a development workspace plays every part; the parts are kept apart all the same, as the invariants want them. */
export const DEVELOPMENT_KEYS: readonly DevelopmentKey[] = [
  { name: 'control', person: 'process:control', roles: ['control'] },
  { name: 'developer', person: 'person:developer', roles: ['trainer', 'operator', 'viewer'] },
  { name: 'approver-1', person: 'person:ana', roles: ['approver', 'viewer'] },
  { name: 'approver-2', person: 'person:ben', roles: ['approver', 'viewer'] },
];

export interface EnsuredWorkspace {
  readonly created: boolean;
}

/**
 * Makes a development workspace where there is none: keys (mode 0600, folder 0700) and a trust file that waives approvals. What
 * exists is left as it is, so a trust file of one's own is never replaced. Call it under the workspace's lock.
 */
export async function ensureWorkspace(config: SlipwayConfig): Promise<EnsuredWorkspace> {
  await mkdir(config.home, { recursive: true });
  if (existsSync(config.trustFile)) return { created: false };
  const keys = await Promise.all(DEVELOPMENT_KEYS.map((key) => ensureKey(config.keyFolder, key)));
  const policy: WorkspacePolicy = {
    workspace: config.workspace,
    keys: keys.map((key, index) => trustedKey(key, DEVELOPMENT_KEYS[index]!.roles)),
    minApprovals: 0,
    production: false,
  };
  await writeWhole(config.trustFile, `${JSON.stringify(policy, null, 2)}\n`);
  return { created: true };
}

async function ensureKey(folder: string, wanted: DevelopmentKey): Promise<PrivateKey> {
  if (existsSync(join(folder, `${wanted.name}.key.json`))) return loadKey(folder, wanted.name);
  const key = generateKey(wanted.name, wanted.person);
  await saveKey(folder, key);
  return key;
}

/** The trust file is what says that the workspace is complete, so it appears whole and last. */
async function writeWhole(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.next`, text, { mode: 0o644 });
  await rename(`${file}.next`, file);
}

import { readdir } from 'node:fs/promises';
import { InvalidArgumentError, type Command } from 'commander';
import { generateKey, loadKey, loadSigner, saveKey, trustedKey } from '../../../infra/signing/keys';
import { loadPolicy } from '../../../infra/signing/trust';
import { parseDuration } from '../../../infra/spec/units';
import { ARM_HEADER, LONGEST_ARM_PERMIT_MS } from '../../../workflows/domain/arm-permit';
import { SlipwayError } from '../../../workflows/domain/errors';
import { parseModelName } from '../../../workflows/domain/names';
import { ROLES, type Role } from '../../../workflows/domain/envelope';
import { DEFAULT_KEY } from '../../client-ports';
import { signArmPermit } from '../../signed-documents';
import { withExample } from '../examples';
import { formatTable } from '../output';
import { action, type Session } from '../session';

const KEY_FILE_ENDING = '.key.json';

interface CreateOptions {
  readonly person: string;
  readonly role: readonly Role[];
  readonly project: string;
}

export function addKeys(program: Command): void {
  const keys = program.command('keys').description('keys that this workspace trusts');
  withExample(keys.command('list').description('who may do what').action(action(list)), 'slipway keys list');
  const create = keys
    .command('create <name>')
    .description('make a private key; print the line of the trust file that lets it act')
    .requiredOption('--person <name>', 'who decides with it, as person:ana', parsePerson)
    .option('--role <role...>', `roles to ask for: ${ROLES.join(', ')}`, collectRole, [] as Role[])
    .option('--project <project>', 'project that the roles are for', '*')
    .action(action(create_));
  withExample(create, 'slipway keys create eva --person person:eva --role approver --project flights');
  const signArm = keys
    .command('sign-arm <model> <arm>')
    .description('sign a permit with which requests are answered by this arm; for tests of a rollout')
    .option('--key <name>', 'private key of an operator of the project', DEFAULT_KEY)
    .option('--valid <duration>', 'such as 30m or 2d; a week at most', '1h')
    .action(action(signArm_));
  withExample(signArm, 'slipway keys sign-arm flights/late-arrival challenger');
}

async function list(session: Session): Promise<void> {
  const policy = await loadPolicy(session.config.trustFile);
  const names = await namesOfPrivateKeys(session.config.keyFolder);
  const keys = policy.keys.map((key) => ({ ...key, name: names.get(key.keyId) ?? null }));
  const rows = keys.map((key) => [
    key.name ?? '-',
    key.keyId,
    key.person,
    key.roles.map((grant) => `${grant.role}@${grant.project}`).join(' '),
    key.revoked ? `${key.revoked.reason} ${key.revoked.at}` : (key.expiresAt ?? 'valid'),
  ]);
  session.result({ ...policy, keys }, [
    ...formatTable(['NAME', 'KEY', 'PERSON', 'ROLES', 'STANDING'], rows),
    '',
    `NAME is what --key takes: the private keys in ${session.config.keyFolder}`,
  ]);
}

/** By key id. A file that is no key has no name here; `slipway doctor` says what is wrong with it. */
async function namesOfPrivateKeys(folder: string): Promise<ReadonlyMap<string, string>> {
  const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith(KEY_FILE_ENDING));
  const named = await Promise.all(
    files.map(async (file) => {
      const name = file.slice(0, -KEY_FILE_ENDING.length);
      const key = await loadKey(folder, name).catch(() => null);
      return key === null ? [] : [[key.keyId, name] as const];
    }),
  );
  return new Map(named.flat());
}

/** Trust is granted by who keeps the trust file, never by this command. */
async function create_(session: Session, name: string, options: CreateOptions): Promise<void> {
  const key = generateKey(name, options.person);
  const file = await saveKey(session.config.keyFolder, key);
  const line = trustedKey(key, options.role, options.project);
  session.result({ file, trust: line }, [
    `private key: ${file} (mode 0600; keep it where only ${options.person} reads it)`,
    `add this to "keys" in ${session.config.trustFile}, after review:`,
    JSON.stringify(line, null, 2),
  ]);
}

async function signArm_(
  session: Session,
  model: string,
  arm: string,
  options: { readonly key: string; readonly valid: string },
): Promise<void> {
  const validMs = parseDuration(options.valid);
  if (validMs === undefined || validMs <= 0 || validMs > LONGEST_ARM_PERMIT_MS)
    throw new SlipwayError('USAGE', `--valid ${options.valid} is no duration of a week at most; expected such as 1h`);
  if (!parseModelName(model)) throw new SlipwayError('USAGE', `${model} is no model; expected <project>/<model>`);
  const { workspace, keyFolder } = session.config;
  const permit = signArmPermit(await loadSigner(keyFolder, options.key), { workspace, model, arm, validMs });
  session.result({ header: ARM_HEADER, permit }, [`${ARM_HEADER}: ${permit}`]);
}

function collectRole(value: string, before: readonly Role[]): Role[] {
  const role = ROLES.find((known) => known === value);
  if (!role) throw new InvalidArgumentError(`expected one of ${ROLES.join(', ')}`);
  return [...before, role];
}

function parsePerson(value: string): string {
  if (!/^(person|process):[a-z0-9][a-z0-9._@-]{0,63}$/.test(value))
    throw new InvalidArgumentError('expected person:<name>');
  return value;
}

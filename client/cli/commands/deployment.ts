import type { Command } from 'commander';
import type { CommandAction } from '../../../workflows/domain/approval';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { ReleaseRef } from '../../../workflows/domain/release';
import { DEFAULT_KEY } from '../../client-ports';
import { withExample } from '../examples';
import { reportReceipt } from '../receipt';
import { findRelease } from '../releases';
import { action, type Session } from '../session';

interface CommandOptions {
  readonly key: string;
  readonly reason?: string;
}

const PLAIN: readonly (readonly [string, CommandAction, string])[] = [
  ['pause', 'pause', 'hold the rollout at its step'],
  ['resume', 'resume', 'go on with a paused rollout'],
  ['abort', 'abort', 'end the rollout; the champion serves everything'],
  ['skip-step', 'skipStep', 'go on to the next canary step now'],
  ['promote-now', 'promoteNow', 'promote the challenger without further checks'],
  ['freeze', 'freeze', 'take no releases until unfreeze'],
  ['unfreeze', 'unfreeze', 'take releases again'],
  ['retire', 'retire', 'serve the model no longer'],
];

export function addDeployment(program: Command): void {
  const deployment = program.command('deployment').description('signed operator commands to the deployment of a model');
  for (const [name, command, description] of PLAIN) {
    withExample(
      plainCommand(deployment, name, command, description),
      `slipway deployment ${name} flights/late-arrival --reason "on-call"`,
    );
  }
  for (const [name, description] of [
    ['release', 'roll out a registered release'],
    ['divert', 'serve this release at once, without a canary'],
  ] as const) {
    const command = withKey(deployment.command(`${name} <model> <version>`).description(description)).action(
      action(async (session: Session, model: string, version: string, options: CommandOptions) => {
        const release = await resolveVersion(session, model, version);
        const args = name === 'release' ? { release, run: null } : { release };
        await send(session, model, name, args, options);
      }),
    );
    withExample(command, `slipway deployment ${name} flights/late-arrival 3`);
  }
}

/** Its own command, because it is typed in a hurry. */
export function addRollback(program: Command): void {
  withExample(
    plainCommand(program, 'rollback', 'rollback', 'serve the release before, at once'),
    'slipway rollback flights/late-arrival --reason "complaints from gate agents"',
  );
}

function plainCommand(parent: Command, name: string, command: CommandAction, description: string): Command {
  return withKey(parent.command(`${name} <model>`).description(description)).action(
    action((session: Session, model: string, options: CommandOptions) => send(session, model, command, {}, options)),
  );
}

function withKey(command: Command): Command {
  return command
    .option('--key <name>', 'private key that signs the command', DEFAULT_KEY)
    .option('--reason <text>', 'kept in the audit log');
}

async function send(
  session: Session,
  model: string,
  command: CommandAction,
  args: Record<string, unknown>,
  options: CommandOptions,
): Promise<void> {
  const client = await session.client();
  const all = options.reason === undefined ? args : { ...args, reason: options.reason };
  reportReceipt(session, await client.command(model, command, all, options.key));
}

async function resolveVersion(session: Session, model: string, version: string): Promise<ReleaseRef> {
  const number = Number(version);
  if (!Number.isInteger(number) || number < 1)
    throw new SlipwayError('USAGE', `${version} is no release version; expected 1, 2, …`);
  const client = await session.client();
  return (await findRelease(client, model, number)).ref;
}

import { z } from 'zod';
import { COMMAND_ACTIONS, type CommandAction, type CommandDocument } from '../../workflows/domain/approval';
import type { AuditKind, AuditRef } from '../../workflows/domain/audit';
import { canonicalJson, type Digest } from '../../workflows/domain/digest';
import { PAYLOAD_TYPES, type Envelope, type Role } from '../../workflows/domain/envelope';
import { SlipwayError } from '../../workflows/domain/errors';
import type { ModelName } from '../../workflows/domain/names';
import { auditIds } from '../../infra/audit/ids';
import type { AuditLog, LoggedEntry } from '../../infra/audit/port';
import { asRefusal, claimedActor, digestOfAnything } from '../../infra/audit/refusals';
import { decisionDigest } from '../../infra/signing/dsse';
import { projectOf } from '../../infra/signing/project';
import type { Trust, Verified } from '../../infra/signing/port';

export interface CommandPorts {
  readonly trust: Trust;
  readonly audit: AuditLog;
  readonly clock?: () => Date;
}

export interface CommandRules {
  readonly model: ModelName;
  /** Roles that may send each action; an action that is not named is refused. */
  readonly roles: Readonly<Partial<Record<CommandAction, readonly Role[]>>>;
  /** What tells a retry of this admission from the same command sent again. */
  readonly delivery: string;
  /** Throws a refusal when the arguments do not fit what the command is used for. */
  readonly check: (command: CommandDocument) => Promise<void> | void;
  readonly accepted: {
    readonly kind: AuditKind;
    readonly data: Readonly<Record<string, unknown>>;
    summary(command: CommandDocument, person: string): string;
  };
  readonly refused: { readonly kind: AuditKind; readonly what: string };
}

export interface Admitted {
  readonly command: CommandDocument;
  readonly actor: string;
  readonly audit: AuditRef;
}

/** Arguments go into the audit log, which is read whole. */
const maxArgsChars = 4_096;

const commandSchema = z.strictObject({
  schema: z.literal('slipway.command/1'),
  workspace: z.string(),
  action: z.enum(COMMAND_ACTIONS),
  target: z.string(),
  args: z.record(z.string(), z.unknown()),
  nonce: z.string().regex(/^[\w.-]{1,128}$/),
  issuedAt: z.iso.datetime({ offset: true }),
  expiresAt: z.iso.datetime({ offset: true }),
});

/**
 * Verifies a signed command and audits the decision, before anybody acts on it (I7). The nonce is the id of the audit entry, so
 * that a command counts once per model, whoever delivers it and however often; the same command with the same delivery is a
 * retry and gets the same answer. Throws the refusal, audited; anything else it throws was not a decision.
 */
export async function admitSigned(ports: CommandPorts, envelope: Envelope, rules: CommandRules): Promise<Admitted> {
  const project = projectOf(rules.model);
  const now = ports.clock?.() ?? new Date();
  let actor = claimedActor(envelope);
  try {
    const verified = verifyCommand(ports.trust, envelope, rules, project, now);
    actor = verified.person;
    return await admitVerified(ports, envelope, verified, rules, now);
  } catch (error) {
    const refusal = asRefusal(error);
    await ports.audit.append(rules.model, {
      id: auditIds.refusal(rules.refused.what, digestOfAnything([envelope, rules.delivery]), refusal.code),
      kind: rules.refused.kind,
      actor,
      summary: `${rules.refused.what} refused: ${refusal.message}`,
      data: { code: refusal.code, what: rules.refused.what, delivery: rules.delivery },
      evidence: [],
    });
    throw refusal;
  }
}

/** The roles of the action that the document names; a document that is not a command of this model is refused before. */
function verifyCommand(
  trust: Trust,
  envelope: Envelope,
  rules: CommandRules,
  project: string,
  at: Date,
): Verified<CommandDocument> {
  const asked = Object.values(rules.roles).flat();
  let missing: unknown;
  for (const role of new Set(asked)) {
    try {
      const verified = trust.verify(envelope, { payloadType: PAYLOAD_TYPES.command, role, project, at });
      const command = readCommand(verified.document, rules);
      if (rules.roles[command.action]?.includes(role)) return { ...verified, document: command };
      missing = new SlipwayError('ROLE_MISSING', `${verified.person} may not ${command.action} in project ${project}`);
    } catch (error) {
      if (!(error instanceof SlipwayError) || error.code !== 'ROLE_MISSING') throw error;
      missing ??= error;
    }
  }
  throw missing;
}

function readCommand(document: unknown, rules: CommandRules): CommandDocument {
  const parsed = commandSchema.safeParse(document);
  if (!parsed.success)
    throw new SlipwayError(
      'SIGNATURE_INVALID',
      `not a command: ${parsed.error.issues[0]?.path.join('.') ?? ''} is wrong`,
    );
  const command = parsed.data;
  if (command.target !== rules.model)
    throw new SlipwayError(
      'COMMAND_REFUSED',
      `the command is for ${JSON.stringify(command.target.slice(0, 100))}, not ${rules.model}`,
    );
  if (!rules.roles[command.action])
    throw new SlipwayError('COMMAND_REFUSED', `the action ${command.action} cannot be sent this way`);
  if (canonicalJson(command.args).length > maxArgsChars)
    throw new SlipwayError('COMMAND_REFUSED', `the command has more than ${maxArgsChars} characters of arguments`);
  return command;
}

async function admitVerified(
  ports: CommandPorts,
  envelope: Envelope,
  verified: Verified<CommandDocument>,
  rules: CommandRules,
  now: Date,
): Promise<Admitted> {
  const command = verified.document;
  const signed = decisionDigest(envelope);
  const id = auditIds.command(command.nonce);
  checkFirst(await ports.audit.lookup(rules.model, id), signed, rules.delivery);
  // Also for a retry: whoever keeps a command to send it with its old delivery has no longer than this.
  if (now.getTime() >= Date.parse(command.expiresAt))
    throw new SlipwayError('COMMAND_EXPIRED', `the command expired on ${command.expiresAt}`);
  await rules.check(command);
  const audit = await ports.audit.append(rules.model, {
    id,
    kind: rules.accepted.kind,
    actor: verified.person,
    summary: rules.accepted.summary(command, verified.person),
    data: {
      ...rules.accepted.data,
      action: command.action,
      args: command.args,
      command: signed,
      delivery: rules.delivery,
      keyId: verified.keyId,
    },
    evidence: [],
  });
  // Two deliveries may have passed the look at the same time: the one whose entry it is goes on.
  checkFirst(await ports.audit.lookup(rules.model, id), signed, rules.delivery);
  return { command, actor: verified.person, audit };
}

function checkFirst(first: LoggedEntry | null, signed: Digest, delivery: string): void {
  if (!first) return;
  const { data, at } = first.entry;
  if (data['command'] !== signed || data['delivery'] !== delivery)
    throw new SlipwayError('COMMAND_REPLAYED', `a command with this nonce was admitted on ${at}`);
}

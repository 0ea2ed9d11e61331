import { z } from 'zod';
import type { AuditCheckpoint, AuditRef } from '../../workflows/domain/audit';
import { isDigest, type Digest } from '../../workflows/domain/digest';
import { PAYLOAD_TYPES } from '../../workflows/domain/envelope';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import { listAll } from '../object-store/list-all';
import type { ObjectStore } from '../object-store/port';
import { openEnvelope, parseEnvelope, parsePayload } from '../signing/dsse';
import type { Trust } from '../signing/port';
import { projectOf } from '../signing/project';
import { auditRefSchema, listCheckpoints } from './chain';
import type { AuditProblem, ReadChain } from './verify-chain';

/** What a gateway says it serves: a witness outside the chain. */
export interface GatewayWitness {
  readonly key: string;
  readonly audit: AuditRef | null;
  readonly generation: number | null;
  readonly route: Digest | null;
}

/** Compares one head that somebody kept with the chain. */
export function checkHead(chain: ReadChain, head: AuditRef, key: string, problems: AuditProblem[]): void {
  const logged = chain.entries.get(head.sequence);
  if (head.sequence > chain.last)
    problems.push({
      kind: 'truncated',
      key,
      detail: `entry ${head.sequence} was there and the chain ends at ${chain.last}`,
    });
  else if (logged && logged.ref.digest !== head.digest)
    problems.push({
      kind: 'changed',
      key,
      detail: `entry ${head.sequence} had the digest ${head.digest} and has ${logged.ref.digest}`,
    });
}

/** Returns the newest sequence that a valid checkpoint signs; 0 where none does. */
export async function verifyCheckpoints(
  store: ObjectStore,
  trust: Trust,
  model: ModelName,
  chain: ReadChain,
  problems: AuditProblem[],
): Promise<number> {
  let signed = 0;
  for (const sequence of await listCheckpoints(store, model)) {
    const key = keys.auditCheckpoint(model, sequence);
    const bytes = await store.get(key);
    const checkpoint = bytes ? readCheckpoint(trust, model, sequence, bytes) : 'it is gone';
    if (typeof checkpoint === 'string') {
      problems.push({ kind: 'checkpoint', key, detail: `checkpoint ${sequence} does not count: ${checkpoint}` });
      continue;
    }
    checkHead(chain, checkpoint, key, problems);
    signed = sequence;
  }
  return signed;
}

/** The checkpoint, or why it is none. */
function readCheckpoint(trust: Trust, model: ModelName, sequence: number, bytes: Uint8Array): AuditCheckpoint | string {
  try {
    const envelope = parseEnvelope(bytes);
    const at = new Date(String(parsePayload(openEnvelope(envelope).payload)['at']));
    const requirement = {
      payloadType: PAYLOAD_TYPES.auditCheckpoint,
      role: 'control',
      project: projectOf(model),
      at,
    } as const;
    const { document } = trust.verify<AuditCheckpoint>(envelope, requirement);
    return document.model === model && document.sequence === sequence ? document : 'it is one of another place';
  } catch (error) {
    if (error instanceof SlipwayError) return error.message;
    throw error;
  }
}

const heartbeat = z.looseObject({
  audit: z.record(z.string(), auditRefSchema).optional(),
  models: z
    .record(
      z.string(),
      z.looseObject({ generation: z.number().int().optional(), route: z.custom<Digest>(isDigest).optional() }),
    )
    .optional(),
});

/** What gateways wrote of a model. A heartbeat that cannot be read is no witness, and no proof of anything. */
export async function readWitnesses(store: ObjectStore, model: ModelName): Promise<GatewayWitness[]> {
  const witnesses: GatewayWitness[] = [];
  for await (const key of listAll(store, keys.gateways)) {
    const bytes = await store.get(key);
    const parsed = bytes ? heartbeat.safeParse(parseJson(bytes)) : null;
    if (!parsed?.success) continue;
    const served = parsed.data.models?.[model];
    witnesses.push({
      key,
      audit: parsed.data.audit?.[model] ?? null,
      generation: served?.generation ?? null,
      route: served?.route ?? null,
    });
  }
  return witnesses;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return null;
  }
}

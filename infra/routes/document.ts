import { z } from 'zod';
import { isDigest, type Digest } from '../../workflows/domain/digest';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { Route } from '../../workflows/domain/route';
import { auditRefSchema } from '../audit/chain';
import { digestOf } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';
import { invalid, openEnvelope, parseEnvelope, parsePayload } from '../signing/dsse';
import type { Envelope } from '../../workflows/domain/envelope';

export const FIRST_GENERATION = 1;
/** Weights are decimal fractions; their sum is off by rounding only. */
const weightTolerance = 1e-9;

const digest = z.custom<Digest>(isDigest);
const release = z.strictObject({ model: z.string(), version: z.number().int().min(1), digest });
const arm = z.strictObject({ name: z.enum(['champion', 'challenger']), release, weight: z.number().min(0).max(1) });
const shadow = z.strictObject({ name: z.string().min(1), release, sample: z.number().gt(0).max(1) });
const assignment = z.union([
  z.strictObject({ source: z.literal('request') }),
  z.strictObject({ source: z.enum(['header', 'parameter', 'feature']), name: z.string().min(1) }),
]);

const routeSchema = z
  .strictObject({
    schema: z.literal('slipway.route/1'),
    workspace: z.string(),
    model: z.string(),
    generation: z.number().int().min(FIRST_GENERATION),
    previous: digest.nullable(),
    intent: z.string().min(1),
    state: z.enum(['serving', 'frozen', 'retired']),
    arms: z.array(arm).max(2),
    shadows: z.array(shadow).max(8),
    paired: z.boolean(),
    assignment,
    salt: z.string(),
    clock: z.enum(['wall', 'event']),
    challengerLeaseMs: z.number().int().positive(),
    rollout: z.strictObject({ id: z.string().min(1), step: z.number().int().min(0) }).nullable(),
    audit: auditRefSchema,
    committedAt: z.iso.datetime(),
  })
  .superRefine((route, context) => {
    const problem = routeProblem(route);
    if (problem) context.addIssue({ code: 'custom', message: problem });
  });

/** What no gateway could serve; undefined when the route is sound. A route that serves or is frozen has exactly one champion. */
export function routeProblem(route: Pick<Route, 'model' | 'state' | 'arms' | 'shadows'>): string | undefined {
  const { arms, shadows, state, model } = route;
  if ([...arms, ...shadows].some((served) => served.release.model !== model)) return 'an arm serves another model';
  if (new Set(arms.map((served) => served.name)).size !== arms.length) return 'an arm is named twice';
  if (arms.length === 0) return state === 'retired' ? undefined : 'it has no arm';
  if (!arms.some((served) => served.name === 'champion')) return 'it has no champion';
  const sum = arms.reduce((total, served) => total + served.weight, 0);
  return Math.abs(sum - 1) > weightTolerance ? `the weights of its arms sum to ${sum}` : undefined;
}

/** A stored route, opened but not verified: signature, audit entry and chain are the reader's to check. */
export interface OpenRoute {
  readonly envelope: Envelope;
  readonly route: Route;
  /** Of the signed bytes, which are the canonical JSON of the route. */
  readonly digest: Digest;
}

/** Null where there is none. Throws SIGNATURE_INVALID for bytes that are no route of this place. */
export async function openRoute(store: ObjectStore, model: ModelName, generation: number): Promise<OpenRoute | null> {
  const bytes = await store.get(keys.route(model, generation));
  if (!bytes) return null;
  const envelope = parseEnvelope(bytes);
  const { payload } = openEnvelope(envelope);
  const parsed = routeSchema.safeParse(parsePayload(payload));
  if (!parsed.success)
    throw invalid(`route ${generation} of ${model}: ${parsed.error.issues[0]?.message ?? 'malformed'}`);
  if (parsed.data.model !== model || parsed.data.generation !== generation)
    throw invalid(`route ${generation} of ${model} is that of another place`);
  return { envelope, route: parsed.data, digest: digestOf(payload) };
}

import { modelName, parseModelName } from '../../workflows/domain/names';

/** What a URL of the gateway asks for. */
export type Target =
  | { readonly kind: 'server' | 'live' | 'ready' | 'index' | 'metrics' }
  | { readonly kind: 'metadata' | 'model-ready' | 'infer'; readonly model: string; readonly version: string | null };

const FIXED: Readonly<Record<string, Target>> = {
  '/v2': { kind: 'server' },
  '/v2/': { kind: 'server' },
  '/v2/health/live': { kind: 'live' },
  '/v2/health/ready': { kind: 'ready' },
  '/v2/repository/index': { kind: 'index' },
  '/metrics': { kind: 'metrics' },
};

const MODEL = /^\/v2\/models\/([^/%]+)(?:\/|%2[Ff])([^/%]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?\/?$/;

/** Null where nothing is at this path. Query strings are ignored. */
export function parsePath(url: string): Target | null {
  const query = url.indexOf('?');
  const path = query < 0 ? url : url.slice(0, query);
  const fixed = FIXED[path];
  if (fixed) return fixed;
  const match = MODEL.exec(path);
  if (!match) return null;
  const ref = parseModelName(`${match[1]!}/${match[2]!}`);
  const model = ref ? modelName(ref) : `${match[1]!}/${match[2]!}`;
  const action = match[4];
  return {
    kind: action === 'infer' ? 'infer' : action === 'ready' ? 'model-ready' : 'metadata',
    model,
    version: match[3] ?? null,
  };
}

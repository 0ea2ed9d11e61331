import { modelName, parseModelName } from '../../../workflows/domain/names';

export interface FixedTarget {
  readonly kind: 'server' | 'live' | 'ready' | 'index' | 'metrics' | 'openapi' | 'v1-models';
}

export interface ModelTarget {
  readonly kind: 'metadata' | 'model-ready' | 'infer' | 'v1-model' | 'predict';
  readonly model: string;
  readonly version: string | null;
}

/** What a URL of the gateway asks for. */
export type Target = FixedTarget | ModelTarget;

const FIXED: Readonly<Record<string, Target>> = {
  '/v2': { kind: 'server' },
  '/v2/': { kind: 'server' },
  '/v2/health/live': { kind: 'live' },
  '/v2/health/ready': { kind: 'ready' },
  '/v2/repository/index': { kind: 'index' },
  '/v1/models': { kind: 'v1-models' },
  '/openapi.json': { kind: 'openapi' },
  '/metrics': { kind: 'metrics' },
};

const NAME = '([^/%:]+)(?:/|%2[Ff])([^/%:]+)';
const V2_MODEL = new RegExp(`^/v2/models/${NAME}(?:/versions/([^/]+))?(?:/(ready|infer))?/?$`);
const V1_MODEL = new RegExp(`^/v1/models/${NAME}((?::|%3[Aa])predict)?/?$`);

/** Null where nothing is at this path. Query strings are ignored. */
export function parsePath(url: string): Target | null {
  const query = url.indexOf('?');
  const path = query < 0 ? url : url.slice(0, query);
  if (Object.hasOwn(FIXED, path)) return FIXED[path]!;
  const match = V2_MODEL.exec(path);
  if (match) {
    const action = match[4];
    return {
      kind: action === 'infer' ? 'infer' : action === 'ready' ? 'model-ready' : 'metadata',
      model: nameOf(match),
      version: match[3] ?? null,
    };
  }
  const first = V1_MODEL.exec(path);
  return first ? { kind: first[3] ? 'predict' : 'v1-model', model: nameOf(first), version: null } : null;
}

function nameOf([, project = '', model = '']: RegExpExecArray): string {
  const ref = parseModelName(`${project}/${model}`);
  return ref ? modelName(ref) : `${project}/${model}`;
}

const MOST_KNOWN = 1_024;
const LONGEST_KNOWN = 256;

/** Remembers what URLs ask for: callers ask for the same few all the time. Bounded, whatever they send. */
export class Paths {
  private readonly known = new Map<string, Target>();

  find(url: string): Target | null {
    const known = this.known.get(url);
    if (known) return known;
    const target = parsePath(url);
    if (target && url.length <= LONGEST_KNOWN) {
      if (this.known.size >= MOST_KNOWN) this.known.clear();
      this.known.set(url, target);
    }
    return target;
  }
}

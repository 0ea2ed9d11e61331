import { parseArgs } from 'node:util';

export const SECTIONS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'] as const;
export type SectionId = (typeof SECTIONS)[number];
/** Without `--only`: `g` sends ten million requests. */
export const USUAL_SECTIONS: readonly SectionId[] = SECTIONS.filter((id) => id !== 'g');

export const PEERS = ['fastapi', 'mlserver', 'bentoml'] as const;
export type PeerFamily = (typeof PEERS)[number];

export interface BenchOptions {
  readonly sections: readonly SectionId[];
  readonly peers: readonly PeerFamily[];
  readonly rounds: number;
  /** Of one server in one round. */
  readonly seconds: number;
  /** Of section g. */
  readonly requests: number;
  /** Whether docs/benchmarks.md is rewritten; a quick run only prints. */
  readonly isWritten: boolean;
}

export const USAGE = `npm run bench:gateway -- [options]
  --quick             short rounds and few; prints, and leaves docs/benchmarks.md alone
  --only a,c          these sections: a single rows, b binary, c liveness, d threads, e routes and log, f swaps;
                      and only when named, g endurance
  --peers LIST        fastapi,mlserver,bentoml (installed from PyPI when first used), or none
  --rounds N          rounds of every measurement (5; quick 2)
  --seconds N         seconds of one server in one round (5; quick 2)
  --requests N        requests of section g (10000000)
`;

/** Throws RangeError with what is wrong. */
export function parseBenchOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      requests: { type: 'string' },
    },
  });
  return {
    sections: values.only === undefined ? USUAL_SECTIONS : listOf('only', values.only, SECTIONS),
    peers: values.peers === 'none' ? [] : listOf('peers', values.peers, PEERS),
    rounds: countOf('rounds', values.rounds, values.quick ? 2 : 5),
    seconds: countOf('seconds', values.seconds, values.quick ? 2 : 5),
    requests: countOf('requests', values.requests, 10_000_000),
    isWritten: !values.quick,
  };
}

function listOf<T extends string>(option: string, text: string | undefined, known: readonly T[]): readonly T[] {
  if (text === undefined) return known;
  const asked = text.split(',');
  const strange = asked.filter((name) => !known.includes(name as T));
  if (strange.length > 0) throw new RangeError(`--${option}: ${strange.join(', ')} is none of ${known.join(', ')}`);
  return known.filter((name) => asked.includes(name));
}

function countOf(option: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new RangeError(`--${option} must be a whole number from 1, not ${text}`);
  return Number(text);
}

import { setTimeout as sleep } from 'node:timers/promises';
import { MODEL, tinyRequest } from './tiny-shop';

/** What callers of the gateway met. */
export interface TrafficReport {
  readonly requests: number;
  /** Number of answers by HTTP status; `none` where the connection failed. */
  readonly byStatus: Readonly<Record<string, number>>;
  /** Route generations in the order in which they were first seen to change. */
  readonly generations: readonly number[];
  /** Longest time between two good answers, milliseconds. */
  readonly longestGapMs: number;
}

export interface Traffic {
  /** The newest good answer. */
  readonly newest: () => { readonly version: string; readonly generation: number } | null;
  stop(): Promise<TrafficReport>;
}

const PAUSE_MS = 40;

interface Answer {
  readonly model_version: string;
  readonly parameters: { readonly generation: number };
}

/** Asks a gateway for one prediction after the other until it is stopped; each has an id of its own. */
export function startTraffic(gatewayUrl: string, eventTimeMs: number, idPrefix = 't'): Traffic {
  const byStatus: Record<string, number> = {};
  const generations: number[] = [];
  let newest: { version: string; generation: number } | null = null;
  let requests = 0;
  let goodMs = Date.now();
  let longestGapMs = 0;
  let stopped = false;
  const ask = async (): Promise<void> => {
    requests += 1;
    const response = await post(gatewayUrl, tinyRequest(`${idPrefix}${requests}`, eventTimeMs));
    const status = response === null ? 'none' : String(response.status);
    byStatus[status] = (byStatus[status] ?? 0) + 1;
    if (response?.status !== 200) return;
    const { model_version: version, parameters } = (await response.json()) as Answer;
    longestGapMs = Math.max(longestGapMs, Date.now() - goodMs);
    goodMs = Date.now();
    newest = { version, generation: parameters.generation };
    if (generations.at(-1) !== parameters.generation) generations.push(parameters.generation);
  };
  const running = (async () => {
    while (!stopped) {
      await ask();
      await sleep(PAUSE_MS);
    }
  })();
  return {
    newest: () => newest,
    stop: async () => {
      stopped = true;
      await running;
      return { requests, byStatus, generations, longestGapMs };
    },
  };
}

async function post(gatewayUrl: string, body: object): Promise<Response | null> {
  try {
    return await fetch(`${gatewayUrl}/v2/models/${MODEL}/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5_000),
    });
  } catch {
    return null;
  }
}

import { Agent, request } from 'node:http';
import { openSession } from '../../infra/onnx/session';
import { scoreRows } from '../../infra/onnx/score-table';
import type { BlobStore } from '../../infra/object-store/port';
import type { ReleaseManifest } from '../../workflows/domain/release';

export type Row = Readonly<Record<string, string | number>>;

/** Scores of `rows` by direct inference, without a server. */
export async function directScores(
  blobs: Pick<BlobStore, 'get'>,
  { onnx, signature }: Pick<ReleaseManifest, 'onnx' | 'signature'>,
  rows: readonly Row[],
): Promise<Float32Array> {
  const session = await openSession(await blobs.get(onnx));
  try {
    return await scoreRows(session, signature, rows);
  } finally {
    await session.release();
  }
}

/** What callers met since the last look. */
export interface LoadReport {
  readonly answers: number;
  /** By HTTP status, other than 200; `none` where the connection failed. */
  readonly refused: Readonly<Record<string, number>>;
  /** Answers that direct inference by the release that they name does not give. */
  readonly wrong: readonly string[];
  readonly versions: Readonly<Record<string, number>>;
  /** Longest time between two good answers, milliseconds. */
  readonly longestGapMs: number;
}

export interface CheckedLoad {
  /** Sent to the gateway so far that it may have counted, and what it answered. */
  readonly total: { sent: number; answered: number };
  take(): LoadReport;
  stop(): Promise<void>;
}

export interface CheckedLoadOptions {
  readonly url: string;
  readonly rows: readonly Row[];
  /** Scores of the rows by model version. */
  readonly expected: ReadonlyMap<string, Float32Array>;
  readonly bodyOf: (row: Row, id: string) => string;
  readonly callers: number;
}

const TOLERANCE = 1e-6;
const TIMEOUT_MS = 10_000;
/** A caller that met a closed port does not come back at once. */
const PAUSE_MS = 20;

interface Answer {
  readonly id: string;
  readonly model_version: string;
  readonly outputs: readonly { readonly data: readonly number[] }[];
}

/** Callers that ask on, each for one row after the other, and hold every answer against direct inference. */
export function startCheckedLoad({ url, rows, expected, bodyOf, callers }: CheckedLoadOptions): CheckedLoad {
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  const total = { sent: 0, answered: 0 };
  let seen = newSeen();
  let stopped = false;
  const check = (text: string, id: string, at: number): void => {
    const answer = JSON.parse(text) as Answer;
    const right = expected.get(answer.model_version)?.[at];
    const score = answer.outputs[0]?.data[0];
    if (answer.id !== id || right === undefined || score === undefined || !(Math.abs(score - right) <= TOLERANCE))
      seen.wrong.push(`${id}: ${text.slice(0, 200)}; ${String(right)} by direct inference`);
    seen.versions[answer.model_version] = (seen.versions[answer.model_version] ?? 0) + 1;
  };
  const ask = async (): Promise<void> => {
    const at = total.sent % rows.length;
    const id = `c${(total.sent += 1)}`;
    const { status, text } = await post(agent, url, bodyOf(rows[at]!, id));
    if (status === 200) {
      total.answered += 1;
      seen.answers += 1;
      const nowMs = performance.now();
      seen.longestGapMs = Math.max(seen.longestGapMs, nowMs - seen.goodMs);
      seen.goodMs = nowMs;
      return check(text, id, at);
    }
    seen.refused[status ?? 'none'] = (seen.refused[status ?? 'none'] ?? 0) + 1;
    if (status === null) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  };
  const running = Array.from({ length: callers }, async () => {
    while (!stopped) await ask();
  });
  return {
    total,
    take: () => {
      const { goodMs, ...report } = seen;
      seen = { ...newSeen(), goodMs };
      return report;
    },
    stop: async () => {
      stopped = true;
      await Promise.all(running);
      agent.destroy();
    },
  };
}

function newSeen() {
  return {
    answers: 0,
    refused: {} as Record<string, number>,
    wrong: [] as string[],
    versions: {} as Record<string, number>,
    longestGapMs: 0,
    goodMs: performance.now(),
  };
}

function post(agent: Agent, url: string, body: string): Promise<{ status: number | null; text: string }> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const failed = (): void => resolve({ status: null, text: '' });
    const sent = request(url, { method: 'POST', agent, headers, timeout: TIMEOUT_MS }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      answer.on('end', () => resolve({ status: answer.statusCode ?? null, text }));
      answer.on('error', failed);
      answer.on('aborted', failed);
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', failed);
    sent.end(body);
  });
}

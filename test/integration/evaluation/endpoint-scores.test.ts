import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { scoreEndpoint } from '../../../activities/evaluation/endpoint-scores';
import { quoteText, withDuckDb } from '../../../infra/data/duckdb';
import { parseEndpoint } from '../../../infra/endpoints/descriptor';
import { canonicalBytes } from '../../../infra/object-store/digest';
import type { ModelSpec } from '../../../workflows/domain/spec';
import { bindTo, ModelServer, type Reaction, sendJson } from '../../support/model-server';
import { temporaryFolder } from '../../support/temporary-folder';
import { DISTANCE, signatureWith } from '../gateway/models';

const ROWS = 40;
const spec = {
  data: { id: 'id', eventTime: 't' },
  label: { column: 'y' },
  features: [{ name: 'distance', type: 'number' }],
} as unknown as ModelSpec;

const half: Reaction = ({ body }, response) => {
  const { instances } = JSON.parse(body.toString()) as { instances: unknown[] };
  sendJson(response, { predictions: instances.map(() => 0.5) });
};

const folder = temporaryFolder('endpoint-scores');
const split = join(folder.path, 'split.parquet');
let server: ModelServer;
beforeAll(async () => {
  const rows = `SELECT i::VARCHAR id, TIMESTAMP '2024-01-01' t, 0.0::DOUBLE y, i::DOUBLE distance FROM range(${ROWS}) r(i)`;
  await withDuckDb({ threads: 1, memoryMb: 200, folder: folder.path, files: [] }, (db) =>
    db.run(`COPY (${rows}) TO ${quoteText(split)} (FORMAT parquet)`),
  );
});
afterAll(() => folder.remove());
beforeEach(async () => (server = await new ModelServer(half).start()));
afterEach(() => server.stop());

/** Scores the rows one by one; `beats` are the heartbeats of the activity. */
async function score({ more = 'maxRows: 1\n', signal }: { more?: string; signal?: AbortSignal } = {}) {
  const beats: unknown[] = [];
  const text = `endpoint: e\nprotocol: json\npath: /p\n${more}`;
  const scope = { signal, heartbeat: (details: unknown) => void beats.push(details) };
  const path = scoreEndpoint(
    { bindings: bindTo({ e: server.origin }), scope, spec, split, memoryMb: 200, folder: folder.path },
    {
      name: 'candidate',
      descriptor: canonicalBytes(parseEndpoint(text, 'endpoint.yaml')),
      signature: signatureWith([DISTANCE]),
    },
  );
  return { path: await path, beats };
}

describe('the scores of a split', () => {
  it('come one a row', async () => {
    const { path, beats } = await score();
    expect(readFileSync(path)).toEqual(Buffer.from(new Float32Array(ROWS).fill(0.5).buffer));
    expect([server.calls.length, beats.length]).toEqual([ROWS, ROWS]);
  });

  it('are not asked for any more once one call failed for good', async () => {
    let refused = false;
    let open = 0;
    server.react = async (call, response) => {
      if (!refused) {
        refused = true;
        return sendJson(response, {}, 400);
      }
      open += 1;
      response.on('close', () => (open -= 1));
      await new Promise((resolve) => setTimeout(resolve, 100));
      void half(call, response);
    };
    await expect(score()).rejects.toMatchObject({ code: 'ENDPOINT_ANSWER_INVALID' });
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    expect(server.calls.length).toBeLessThanOrEqual(4);
    expect(open).toBe(0);
  });

  it('are not asked for where the activity is cancelled, however early', async () => {
    await expect(score({ signal: AbortSignal.abort() })).rejects.toThrow();
    expect(server.calls).toEqual([]);
    const leaving = new AbortController();
    server.react = () => leaving.abort();
    await expect(score({ signal: leaving.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(server.calls.length).toBeLessThanOrEqual(4);
  });

  const keys = (): unknown[] => server.calls.map(({ headers }) => headers['idempotency-key']);

  it('are asked for under keys that the same rows have at each try, of other rows and releases another', async () => {
    await score();
    const first = keys().sort();
    server.calls.length = 0;
    await score();
    expect([new Set(first).size, keys().sort()]).toEqual([ROWS, first]);
    server.calls.length = 0;
    await score({ more: 'maxRows: 1\nidempotent: true\n' });
    expect(keys().filter((key) => first.includes(key))).toEqual([]);
  });

  it.each([
    ['', 1],
    ['idempotent: true\n', 3],
  ])('are not asked for twice once a server was at work, unless twice is as good as once (%j)', async (more, times) => {
    server.react = (_, response) => void response.socket!.destroy();
    await expect(score({ more: `maxRows: ${ROWS}\n${more}` })).rejects.toMatchObject({
      code: 'ENDPOINT_UNAVAILABLE',
    });
    expect([server.calls.length, new Set(keys()).size]).toEqual([times, 1]);
  });
});

import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { findOnPath, parseMeasured, type LoadResult } from '../../bench/gateway/load';
import { decodeRequests, encodeRequests, writeRequests, type Requests } from '../../bench/gateway/request-file';
import { binaryBody, bodyWithId, featureBody, ID_LENGTH } from '../../bench/gateway/workload';
import { nodeEntry } from '../../../infra/process/node-entry';
import { temporaryFolder } from '../../support/temporary-folder';

describe('a request file', () => {
  it('is read as it was written, with any bytes in its bodies', () => {
    const bytes = fc.uint8Array({ maxLength: 200 }).map((values) => Buffer.from(values));
    const bodies = fc.array(fc.record({ before: bytes, after: bytes }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(bodies, (given) => {
        const requests = { path: '/a', headers: { 'Content-Type': 'x/y', Other: '1' }, bodies: given };
        expect(decodeRequests(encodeRequests(requests))).toEqual(requests);
      }),
    );
  });

  it('is refused where it is cut off', () => {
    expect(() => decodeRequests(Buffer.from('POST\n/a'))).toThrow(TypeError);
    expect(() => decodeRequests(Buffer.from('GET\n/a\n0\n0\n'))).toThrow(TypeError);
  });
});

describe('a body', () => {
  const id = 'i'.repeat(ID_LENGTH);

  it('of one tensor for each feature is V2 JSON', () => {
    const rows = [
      [1, 2],
      [3, 4],
    ];
    expect(JSON.parse(bodyWithId(featureBody(['a', 'b'], rows), id).toString())).toEqual({
      id,
      inputs: [
        { name: 'a', datatype: 'FP32', shape: [2, 1], data: [1, 3] },
        { name: 'b', datatype: 'FP32', shape: [2, 1], data: [2, 4] },
      ],
    });
  });

  it('of binary tensors has its JSON part where the header says, then the values in the order of the tensors', () => {
    const { body, headerBytes } = binaryBody(
      ['a', 'b'],
      [
        [1, 2],
        [3, 4],
      ],
    );
    const bytes = bodyWithId(body, id);
    const head = JSON.parse(bytes.toString('utf8', 0, headerBytes)) as { id: string };
    expect(head.id).toBe(id);
    expect([0, 4, 8, 12].map((at) => bytes.readFloatLE(headerBytes + at))).toEqual([1, 3, 2, 4]);
    expect(bytes.length).toBe(headerBytes + 16);
  });
});

describe('what a load generator prints', () => {
  it('is found among its other lines', () => {
    expect(parseMeasured('Running 1s test\nMEASURED {"requests":7}\n').requests).toBe(7);
  });

  it('is missed aloud', () => {
    expect(() => parseMeasured('unable to connect')).toThrow('measured nothing: unable to connect');
  });

  it('is printed by a program that is on the PATH, or by none', () => {
    expect(findOnPath('no-such-program-here')).toBeNull();
    expect(findOnPath('sh')).toMatch(/\/sh$/);
  });
});

describe('a load', () => {
  const folder = temporaryFolder('load');
  const seen: { id: string; value: number; type: string | undefined }[] = [];
  let server: Server;
  let origin: string;
  let status = 200;
  beforeAll(async () => {
    server = createServer((message, response) => {
      let text = '';
      message.on('data', (chunk: Buffer) => (text += chunk.toString()));
      message.on('end', () => {
        const body = JSON.parse(text) as { id: string; inputs: { data: number[] }[] };
        seen.push({ id: body.id, value: body.inputs[0]!.data[0]!, type: message.headers['content-type'] });
        response.writeHead(status, { 'Content-Length': 2 }).end('{}');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    folder.remove();
  });

  const requests: Requests = {
    path: '/infer',
    headers: { 'Content-Type': 'application/json' },
    bodies: [1, 2, 3].map((value) => featureBody(['a'], [[value]])),
  };
  const wrk = findOnPath('wrk');
  const file = (): string => writeRequests(join(folder.path, 'requests'), requests);
  const commands: [name: string, argv: () => string[]][] = [
    [
      'in Node',
      () => [...nodeEntry(join(__dirname, '../../bench/gateway/load-child.ts')), origin, file(), 'abcdef', '1', '4'],
    ],
  ];
  if (wrk !== null) {
    const script = join(__dirname, '../../bench/gateway/requests.lua');
    commands.push(['by wrk', () => [wrk, '-t1', '-c4', '-d1s', '-s', script, origin, '--', file(), 'abcdef']]);
  }
  const run = async (argv: readonly string[]): Promise<LoadResult> => {
    seen.length = 0;
    const [program, ...rest] = argv;
    return parseMeasured((await promisify(execFile)(program!, rest)).stdout);
  };

  it.each(commands)(
    '%s sends the bodies in turn, each with an id of its own, and counts the answers',
    async (_, argv) => {
      status = 200;
      const result = await run(argv());
      expect(result).toMatchObject({ badStatus: 0, broken: 0 });
      expect(result.requests).toBeGreaterThanOrEqual(3);
      expect(result.p50Us).toBeLessThanOrEqual(result.p99Us);
      expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
      expect(seen.every(({ id, type }) => id.length === ID_LENGTH && type === 'application/json')).toBe(true);
      // Four connections: requests may arrive in another order than they were made in.
      const times = [1, 2, 3].map((value) => seen.filter((request) => request.value === value).length);
      expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(4);
      expect(Math.min(...times)).toBeGreaterThan(0);
    },
  );

  it.each(commands)('%s counts errors as errors', async (_, argv) => {
    status = 500;
    const result = await run(argv());
    expect(result.badStatus).toBe(result.requests);
    expect(result.requests).toBeGreaterThan(0);
  });
});

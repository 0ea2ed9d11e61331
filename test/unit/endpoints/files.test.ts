import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { followBindings, NO_BINDINGS } from '../../../infra/endpoints/bindings';
import { parseBindings } from '../../../infra/endpoints/bindings-file';
import { parseEndpoint, readEndpoint } from '../../../infra/endpoints/descriptor';
import { canonicalBytes } from '../../../infra/object-store/digest';
import { silentLogger } from '../../../infra/telemetry/log';

const parse = (text: string) => parseEndpoint(text, 'some/endpoint.yaml');

describe('endpoint.yaml', () => {
  it('has defaults for all but what must be said, and the release keeps all of it', () => {
    const descriptor = parse('endpoint: risk\nprotocol: v2\nmodel: m\noutput: p\n');
    expect(descriptor).toEqual({
      schema: 'slipway.endpoint/1',
      ...{ endpoint: 'risk', protocol: 'v2', model: 'm', output: 'p', form: 'columns', binary: true },
      ...{ timeoutMs: 1_000, maxRows: 256, idempotent: false, onChange: 'page' },
      check: { everyMs: 30_000, tolerance: 1e-4, consecutive: 3 },
    });
    expect(readEndpoint(canonicalBytes(descriptor))).toEqual(descriptor);
    const json = parse('endpoint: risk\nprotocol: json\npath: /p\nrequest: { missing: null }\n');
    expect(json).toMatchObject({
      request: { rows: '/instances', form: 'objects', missing: null, timestamp: 'epochMs' },
      answer: { scores: '/predictions', transform: 'none' },
    });
    expect(readEndpoint(canonicalBytes(json))).toEqual(json);
  });

  it.each([
    ['endpoint: https://host\nprotocol: json\npath: /p', '1:11 endpoint: expected a name of 1 to 48 of a-z'],
    ['endpoint: e\nprotocol: grpc', '2:11 protocol: expected one of'],
    [
      'endpoint: e\nprotocol: json\npath: /p\nidempotant: true',
      '4:1 idempotant: unknown key; did you mean idempotent?',
    ],
    [
      'endpoint: e\nprotocol: json\npath: p',
      '3:7 path: expected a path such as /v1/models/risk:predict, other signs as %C3%A9; found "p"',
    ],
    ['endpoint: e\nprotocol: json\npath: /é', '3:7 path: expected a path such as /v1/models/risk:predict'],
    ['endpoint: e\nprotocol: json\npath: /p#a', '3:7 path: expected a path such as /v1/models/risk:predict'],
    ['endpoint: e\nprotocol: json\npath: /p\ntimeout: 5m', '4:10 timeout: expected a duration such as 500ms or 1s'],
    ['endpoint: e\nprotocol: json\npath: /p\nrequest: { form: single }', 'maxRows: expected 1'],
    [
      'endpoint: e\nprotocol: json\npath: /p\nrequest: { form: lists, missing: omit }',
      'request.missing: expected null',
    ],
    ['endpoint: e\nprotocol: v2\nmodel: m\noutput: p\nform: matrix', 'input: expected the name of the matrix'],
    ['endpoint: e\nprotocol: v2\nmodel: m\noutput: p\ninput: x', '5:8 input: expected no such key'],
  ])('says what is wrong and where: %j', (text, message) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'SPEC_INVALID' }) as Error);
    expect(() => parse(text)).toThrow(message);
  });

  it('is nothing but a descriptor: any other bytes are refused', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          expect(() => readEndpoint(bytes)).toThrow(expect.objectContaining({ code: 'MODEL_UNREADABLE' }) as Error);
        },
      ),
    );
  });
});

describe('an endpoints file', () => {
  const file = (entry: string): string => `endpoints:\n  risk: ${entry}\n`;

  it('binds names to origins, with files beside it', () => {
    const text = file(
      '{ origin: "https://models.internal:8501", bearerTokenFile: token, ca: /etc/ca.pem, maxInFlight: 4 }',
    );
    expect(parseBindings(text, '/etc/slipway/endpoints.yaml').get('risk')).toEqual({
      origin: 'https://models.internal:8501',
      bearerTokenFile: '/etc/slipway/token',
      ca: '/etc/ca.pem',
      maxInFlight: 4,
    });
    expect(parseBindings(file('{ origin: "http://[::1]:80/" }'), 'e.yaml').get('risk')).toMatchObject({
      origin: 'http://[::1]',
      maxInFlight: 16,
    });
  });

  it.each(['https://user:hunter2@host', 'https://host/path', 'https://host?q=hunter2', 'ftp://host', 'host:80'])(
    'takes nothing but scheme, host and port, and repeats no secret: %s',
    (origin) => {
      const read = () => parseBindings(file(JSON.stringify({ origin })), 'e.yaml');
      expect(read).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }) as Error);
      expect(read).toThrow('e.yaml:2:');
      expect(read).not.toThrow('hunter2@');
    },
  );

  it('is the allow-list: what it does not name is refused with the line to add, and it is followed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-bindings-'));
    try {
      const path = join(folder, 'endpoints.yaml');
      writeFileSync(path, file('{ origin: "http://a:1", bearerTokenFile: token }'));
      writeFileSync(join(folder, 'token'), 'first\n');
      const bindings = followBindings(path, { logger: silentLogger, everyMs: 0 });
      expect(bindings.find('risk')).toEqual({ origin: 'http://a:1', token: 'first', ca: null, maxInFlight: 16 });
      expect(() => bindings.find('other')).toThrow(
        `no origin is bound to the endpoint other: add \`other: { origin: https://host:port }\` under \`endpoints:\` in ${path}`,
      );
      writeFileSync(join(folder, 'token'), 'the-second\n');
      expect(bindings.find('risk').token).toBe('the-second');
      for (const token of ['', 'two words', 'two\nlines', 'tök']) {
        writeFileSync(join(folder, 'token'), token);
        expect(bindings.find('risk').token).toBe('the-second');
        expect(() => followBindings(path, { logger: silentLogger }).find('risk')).toThrow(
          expect.objectContaining({ code: 'CONFIG_INVALID' }) as Error,
        );
      }
      writeFileSync(path, `${file('{ origin: "http://b:2" }')}  other: { origin: "http://c:3" }\n`);
      expect([bindings.find('risk').origin, bindings.names()]).toEqual(['http://b:2', ['risk', 'other']]);
      expect(() => NO_BINDINGS.find('risk')).toThrow('set SLIPWAY_ENDPOINTS_FILE to a file');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

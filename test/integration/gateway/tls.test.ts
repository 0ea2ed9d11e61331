import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { silentLogger } from '../../../infra/telemetry/log';
import { Certificates, type TlsMaterial } from '../../../workers/gateway/edge/certificates';
import { followEdge } from '../../../workers/gateway/edge/edge';
import type { Gateway } from '../../../workers/gateway/gateway';
import { TestAuthority } from '../../support/certificates';
import { inferenceService } from '../../support/inference-proto';
import { temporaryFolder } from '../../support/temporary-folder';
import { GatewayFixture, inferBody, MODEL, until } from './fixture';
import { linearModel } from './models';

const folder = temporaryFolder('tls');
const at = (name: string): string => join(folder.path, name);
const fixture = new GatewayFixture();
let gateway: Gateway;

beforeAll(async () => {
  const servers = new TestAuthority(folder.path, 'servers');
  servers.issue('gateway', 'server');
  servers.issue('renewed', 'server');
  const people = new TestAuthority(folder.path, 'people');
  people.issue('caller', 'client');
  servers.issue('stranger', 'client');
  writeFileSync(
    at('gateway.yaml'),
    'tls: { certificate: gateway.pem, key: gateway.key, clientAuthorities: people.pem }\n',
  );
  await fixture.route(await fixture.release(linearModel(2, 1)));
  gateway = await fixture.start({ grpcPort: 0, edge: followEdge(at('gateway.yaml'), { logger: silentLogger }) });
  await until(async () => (await ask('GET', `/v2/models/${MODEL}/ready`)).status === 200, 'ready');
});
afterAll(async () => {
  await fixture.dispose();
  folder.remove();
});

interface Asked {
  readonly status: number;
  readonly body: string;
}

async function ask(method: string, path: string, body = '', client: string | null = 'caller'): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const own =
      client === null ? {} : { cert: readFileSync(at(`${client}.pem`)), key: readFileSync(at(`${client}.key`)) };
    const sent = request(
      gateway.url + path,
      { method, agent: false, ca: readFileSync(at('servers.pem')), ...own },
      (answer) => {
        let text = '';
        answer.on('data', (chunk) => (text += String(chunk)));
        answer.on('end', () => resolve({ status: answer.statusCode!, body: text }));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('a gateway with TLS', () => {
  it('answers over HTTPS who has a certificate of the authorities it was given', async () => {
    expect(gateway.url).toMatch(/^https:/);
    const { status, body } = await ask('POST', `/v2/models/${MODEL}/infer`, inferBody([1]));
    expect([status, (JSON.parse(body) as { outputs: { data: number[] }[] }).outputs[0]!.data]).toEqual([200, [3]]);
  });

  it.each([
    ['no certificate', null],
    ['one of another authority', 'stranger'],
  ])('does not speak to callers with %s', async (_, client) => {
    await expect(ask('GET', '/v2/health/live', '', client)).rejects.toThrow();
  });

  it('does not speak to who speaks no TLS, and serves on', async () => {
    await expect(fetch(gateway.url.replace('https', 'http') + '/v2')).rejects.toThrow();
    expect((await ask('GET', '/v2/health/live')).status).toBe(200);
  });

  it('speaks TLS 1.2 and later only', async () => {
    const outcome = (maxVersion: 'TLSv1.1' | 'TLSv1.2'): Promise<string> =>
      new Promise((resolve) => {
        const socket: TLSSocket = connectTls(
          {
            ...{ host: '127.0.0.1', port: gateway.port, minVersion: 'TLSv1', maxVersion },
            ...{ ca: readFileSync(at('servers.pem')), ciphers: 'DEFAULT@SECLEVEL=0' },
            ...{ cert: readFileSync(at('caller.pem')), key: readFileSync(at('caller.key')) },
          },
          () => {
            resolve(String(socket.getProtocol()));
            socket.destroy();
          },
        );
        socket.on('error', () => resolve('refused'));
      });
    expect([await outcome('TLSv1.1'), await outcome('TLSv1.2')]).toEqual(['refused', 'TLSv1.2']);
  });

  it('answers over gRPC with the same certificates', async () => {
    const call = (client: string): Promise<string> =>
      new Promise((resolve) => {
        const channel = new Client(
          `127.0.0.1:${gateway.grpcPort}`,
          credentials.createSsl(
            ...([`servers.pem`, `${client}.key`, `${client}.pem`].map((file) => readFileSync(at(file))) as [
              Buffer,
              Buffer,
              Buffer,
            ]),
          ),
        );
        const { path, requestSerialize, responseDeserialize } = inferenceService['ServerLive']!;
        channel.makeUnaryRequest(
          path,
          requestSerialize,
          (bytes: Buffer) => responseDeserialize(bytes),
          {},
          { deadline: Date.now() + 20_000 },
          (error: ServiceError | null, reply?: object) => {
            channel.close();
            resolve(error ? 'refused' : JSON.stringify(reply));
          },
        );
      });
    expect([await call('caller'), await call('stranger')]).toEqual(['{"live":true}', 'refused']);
  });
});

describe('certificates', () => {
  it('are those of new connections soon after they were renewed, over HTTPS and gRPC', async () => {
    const name = (port: number, ALPNProtocols: string[]): Promise<string> =>
      new Promise((resolve) => {
        const socket: TLSSocket = connectTls(
          {
            ...{ host: '127.0.0.1', port, ALPNProtocols, ca: readFileSync(at('servers.pem')) },
            ...{ cert: readFileSync(at('caller.pem')), key: readFileSync(at('caller.key')) },
          },
          () => {
            resolve(String(socket.getPeerCertificate().subject.CN));
            socket.destroy();
          },
        );
        socket.on('error', (error: Error) => resolve(error.message));
      });
    const names = async (): Promise<string[]> => [
      await name(gateway.port, ['http/1.1']),
      await name(gateway.grpcPort!, ['h2']),
    ];
    expect(await names()).toEqual(['gateway', 'gateway']);
    for (const ending of ['key', 'pem']) copyFileSync(at(`renewed.${ending}`), at(`gateway.${ending}`));
    await until(async () => (await names()).join() === 'renewed,renewed', 'renewed', 30_000);
    expect((await ask('GET', '/v2/health/live')).status).toBe(200);
  });

  it('are taken when they are renewed, once they fit together', async () => {
    for (const ending of ['pem', 'key']) copyFileSync(at(`stranger.${ending}`), at(`kept.${ending}`));
    const before = readFileSync(at('stranger.pem'), 'utf8');
    const problems: string[] = [];
    const taken: TlsMaterial[] = [];
    const certificates = new Certificates({
      files: () => ({ certificate: at('kept.pem'), key: at('kept.key'), clientAuthorities: null }),
      logger: silentLogger,
      onProblem: (error) => problems.push(error.message),
      everyMs: 10,
    });
    certificates.follow((material) => taken.push(material));
    try {
      copyFileSync(at('renewed.pem'), at('kept.pem'));
      await until(() => problems.length > 0, 'half a renewal is seen');
      expect(String(certificates.material.cert)).toBe(before);
      copyFileSync(at('renewed.key'), at('kept.key'));
      await until(() => taken.length > 0, 'the renewal is taken');
      expect(taken.map(({ cert }) => String(cert))).toEqual([readFileSync(at('renewed.pem'), 'utf8')]);
    } finally {
      certificates.stop();
    }
  });
});

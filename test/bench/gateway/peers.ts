import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pythonEnvironment } from '../../support/python-environment';
import { freePorts } from '../../support/ports';
import type { PeerFamily } from './bench-options';
import { startServer, type ServerCommand, type ServerProcess } from './server-process';

const FOLDER = join(__dirname, 'peers');
export const PEER_PATH = '/v2/models/bench/infer';

export interface Peer {
  readonly name: string;
  readonly family: PeerFamily;
  /** `ports` are three free ones; HTTP is on the first. */
  readonly command: (setup: PeerSetup) => Pick<ServerCommand, 'argv' | 'cwd' | 'env'>;
}

interface PeerSetup {
  readonly python: string;
  readonly model: string;
  readonly folder: string;
  readonly ports: readonly number[];
}

export const FASTAPI_TUNED = 'FastAPI, tuned by hand';
export const FASTAPI_USUAL = 'FastAPI, as people write it';
export const MLSERVER_PLAIN = 'MLServer, no worker process';
export const MLSERVER_DEFAULT = 'MLServer, defaults';
export const BENTOML = 'BentoML';

const fastapi = (name: string, file: string): Peer => ({
  name,
  family: 'fastapi',
  command: ({ python, model, ports }) => ({ argv: [python, join(FOLDER, file), String(ports[0]), model] }),
});

const mlserver = (name: string, settings: object): Peer => ({
  name,
  family: 'mlserver',
  command: ({ python, model, folder, ports }) => {
    const [http, grpc, metrics] = ports;
    mkdirSync(join(folder, 'bench'), { recursive: true });
    copyFileSync(join(FOLDER, 'mlserver-runtime.py'), join(folder, 'bench_runtime.py'));
    writeFileSync(
      join(folder, 'bench', 'model-settings.json'),
      JSON.stringify({ name: 'bench', implementation: 'bench_runtime.OnnxModel', parameters: { uri: model } }),
    );
    writeFileSync(
      join(folder, 'settings.json'),
      JSON.stringify({ host: '127.0.0.1', http_port: http, grpc_port: grpc, metrics_port: metrics, ...settings }),
    );
    return { argv: [join(dirname(python), 'mlserver'), 'start', '.'], cwd: folder, env: { PYTHONPATH: folder } };
  },
});

const bentoml: Peer = {
  name: BENTOML,
  family: 'bentoml',
  command: ({ python, model, folder, ports }) => {
    copyFileSync(join(FOLDER, 'bento.py'), join(folder, 'bento.py'));
    return {
      argv: [
        join(dirname(python), 'bentoml'),
        'serve',
        'bento:Scorer',
        '--host',
        '127.0.0.1',
        '--port',
        String(ports[0]),
      ],
      cwd: folder,
      env: { BENCH_MODEL: model, BENTOML_DO_NOT_TRACK: 'True' },
    };
  },
};

export const ALL_PEERS: readonly Peer[] = [
  fastapi(FASTAPI_TUNED, 'fastapi-tuned.py'),
  fastapi(FASTAPI_USUAL, 'fastapi-usual.py'),
  mlserver(MLSERVER_PLAIN, { parallel_workers: 0 }),
  mlserver(MLSERVER_DEFAULT, {}),
  bentoml,
];

/** The Python of a family's environment, made when it is first needed. Null where there is no Python 3.11. */
export function peerPython(family: PeerFamily, say: (text: string) => void): string | null {
  say(`Python environment of ${family} (installed from PyPI when it is first needed)`);
  return pythonEnvironment(join(FOLDER, `${family}.txt`), { shows: 'progress' });
}

/** Starts one peer and waits until it answers `probe` (a V2 JSON body). */
export async function startPeer(
  peer: Peer,
  python: string,
  { model, folder, probe }: { readonly model: string; readonly folder: string; readonly probe: Buffer },
): Promise<ServerProcess> {
  const ports = await freePorts(3);
  const own = join(folder, `${peer.family}-${ports[0]}`);
  mkdirSync(own, { recursive: true });
  return startServer({
    name: peer.name,
    ...peer.command({ python, model, folder: own, ports }),
    port: ports[0]!,
    isUp: async (origin) => {
      const headers = { 'Content-Type': 'application/json' };
      return (await fetch(`${origin}${PEER_PATH}`, { method: 'POST', headers, body: probe })).status === 200;
    },
  });
}

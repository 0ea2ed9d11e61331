import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { adaptModel } from '../../../infra/onnx/adapt-model';
import { inspectModel } from '../../../infra/onnx/inspect-model';
import { servingEntry } from '../../../infra/process/node-entry';
import { bundle } from '../../../workers/gateway/bundle.cjs';
import type { Signature } from '../../../workflows/domain/release';
import type { GatewayFixture } from '../../integration/gateway/fixture';
import { freePorts } from '../../support/ports';
import { testPolicy } from '../../support/workspace';
import { startServer, type ServerProcess } from './server-process';

export interface GatewaySettings {
  readonly id: string;
  /** Models that must be ready before it counts as started. */
  readonly models: readonly string[];
  readonly threads?: number;
  readonly hasLog?: boolean;
}

/** A gateway as it runs in production: its own process, with the signed releases and routes of the fixture's store. */
export async function startGatewayProcess(
  fixture: GatewayFixture,
  { id, models, threads = 1, hasLog = true }: GatewaySettings,
): Promise<ServerProcess> {
  const [port] = await freePorts(1);
  const state = join(fixture.home, 'state');
  mkdirSync(join(state, 'dev'), { recursive: true });
  writeFileSync(join(state, 'dev', 'trust.json'), JSON.stringify(testPolicy()));
  const entry = hasLog ? join(__dirname, '../../../workers/gateway/main.ts') : join(__dirname, 'unlogged-gateway.ts');
  const built = join(fixture.home, `${hasLog ? 'gateway' : 'unlogged'}.js`);
  writeFileSync(built, (await bundle(entry)).outputFiles[0]!.contents);
  const isReady = async (origin: string, model: string): Promise<boolean> =>
    (await fetch(`${origin}/v2/models/${model}/ready`)).status === 200;
  return startServer({
    name: `gateway ${id}`,
    argv: [...profiled(servingEntry(join(__dirname, 'run-bundle.cjs')), id), built],
    env: {
      SLIPWAY_STATE: state,
      SLIPWAY_STORE: `fs:${fixture.storeRoot}`,
      SLIPWAY_GATEWAY_ID: id,
      SLIPWAY_GATEWAY_PORT: String(port),
      SLIPWAY_GATEWAY_THREADS: String(threads),
      SLIPWAY_LOG_LEVEL: 'error',
    },
    port: port!,
    isUp: async (origin) => (await Promise.all(models.map((model) => isReady(origin, model)))).every(Boolean),
  });
}

/** With BENCH_PROFILE=<folder> every gateway leaves a `--cpu-prof` profile of its main thread and its workers there. */
function profiled([node, ...argv]: readonly string[], id: string): string[] {
  const folder = process.env['BENCH_PROFILE'];
  if (folder === undefined) return [node!, ...argv];
  return [node!, '--cpu-prof', `--cpu-prof-dir=${join(folder, id)}`, ...argv];
}

/** A model that was exported with one matrix, put behind one input for each feature, as `slipway import` does it. */
export async function adaptedModel(
  file: string,
  signature: Signature,
  folder: string,
): Promise<{ readonly path: string; readonly onnx: Uint8Array; readonly signature: Signature }> {
  const { path } = await adaptModel(file, await inspectModel(file), signature, folder);
  return { path, onnx: readFileSync(path), signature };
}

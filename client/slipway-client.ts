import { join } from 'node:path';
import { type ModelHistory, readHistory } from '../infra/audit/history';
import type { SlipwayConfig } from '../infra/config/config';
import { type LabelRow, type RecordedLabels, recordLabels } from '../infra/labels/labels';
import { createBlobStore } from '../infra/object-store/blobs';
import { openStore } from '../infra/object-store/open-store';
import type { BlobStore, ObjectStore } from '../infra/object-store/port';
import { loadSigner } from '../infra/signing/keys';
import { lazyTemporal } from '../infra/temporal/connection';
import type { CommandAction } from '../workflows/domain/approval';
import type { ModelName } from '../workflows/domain/names';
import type { ImportedModel, RunResult } from '../workflows/domain/run';
import type { DeploymentStatus } from '../workflows/deployment.messages';
import type { LifecycleStatus, Receipt } from '../workflows/lifecycle.messages';
import type { MonitorResult } from '../workflows/monitor.messages';
import type { ClientPorts } from './client-ports';
import {
  cancelRun,
  commandDeployment,
  type DecideOptions,
  deploymentStatus,
  type PreparedDecision,
  prepareDecision,
  sendDecision,
  signalDecision,
} from './decisions';
import { type ImportInput, importModel } from './imports';
import { createMonitorSchedule, triggerMonitor } from './monitors';
import { type ListedRun, listModels, listRuns } from './run-list';
import { runStatus, type StartedRun, startRun, type StartRunOptions, waitForRun } from './runs';

/** The typed client that the CLI, CI and the demo use. Every method throws SlipwayError or Temporal's own errors. */
export interface SlipwayClient {
  readonly config: SlipwayConfig;
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  startRun(options: StartRunOptions): Promise<StartedRun>;
  waitForRun(model: ModelName, run: string): Promise<RunResult>;
  runStatus(model: ModelName, run: string): Promise<LifecycleStatus>;
  listRuns(model: ModelName): Promise<ListedRun[]>;
  listModels(): Promise<ModelName[]>;
  approve(model: ModelName, options: DecideOptions): Promise<Receipt>;
  reject(model: ModelName, options: DecideOptions): Promise<Receipt>;
  /** Signs without sending, for `approve --print-signal`. */
  prepareDecision(model: ModelName, decision: 'approve' | 'reject', options: DecideOptions): Promise<PreparedDecision>;
  /** Sends a prepared decision as the Temporal UI would. */
  signalDecision(prepared: PreparedDecision): Promise<void>;
  cancelRun(model: ModelName, run: string, reason: string, key?: string): Promise<Receipt>;
  command(
    model: ModelName,
    action: CommandAction,
    args?: Readonly<Record<string, unknown>>,
    key?: string,
  ): Promise<Receipt>;
  deploymentStatus(model: ModelName): Promise<DeploymentStatus | null>;
  triggerMonitor(model: ModelName, asOf: string | null): Promise<MonitorResult>;
  createMonitorSchedule(model: ModelName, everyMs: number): Promise<void>;
  recordLabels(model: ModelName, rows: readonly LabelRow[]): Promise<RecordedLabels>;
  /** Puts a model from elsewhere into the store, for `startRun({ imported })`. */
  importModel(input: ImportInput): Promise<ImportedModel>;
  history(model: ModelName): Promise<ModelHistory>;
  close(): Promise<void>;
}

/** Opens nothing until it is used, so that what needs only the store works while Temporal is away. */
export async function createSlipwayClient(config: SlipwayConfig): Promise<SlipwayClient> {
  const store = openStore(config.store);
  const temporal = lazyTemporal(config.temporal);
  const blobs = createBlobStore(store, join(config.home, 'cache', 'blobs'), { maxBytes: config.blobCacheBytes });
  const ports: ClientPorts = {
    config,
    store,
    blobs,
    temporal: temporal.client,
    signer: (name) => loadSigner(config.keyFolder, name),
  };
  const decide = async (model: ModelName, decision: 'approve' | 'reject', options: DecideOptions): Promise<Receipt> =>
    sendDecision(ports, await prepareDecision(ports, model, decision, options));
  return {
    config,
    store,
    blobs,
    startRun: (options) => startRun(ports, options),
    waitForRun: (model, run) => waitForRun(ports, model, run),
    runStatus: (model, run) => runStatus(ports, model, run),
    listRuns: (model) => listRuns(store, model),
    listModels: () => listModels(store),
    approve: (model, options) => decide(model, 'approve', options),
    reject: (model, options) => decide(model, 'reject', options),
    prepareDecision: (model, decision, options) => prepareDecision(ports, model, decision, options),
    signalDecision: (prepared) => signalDecision(ports, prepared),
    cancelRun: (model, run, reason, key) => cancelRun(ports, model, run, reason, key),
    command: (model, action, args, key) => commandDeployment(ports, model, action, args ?? {}, key),
    deploymentStatus: (model) => deploymentStatus(ports, model),
    triggerMonitor: (model, asOf) => triggerMonitor(ports, model, asOf),
    createMonitorSchedule: (model, everyMs) => createMonitorSchedule(ports, model, everyMs),
    recordLabels: (model, rows) => recordLabels(store, model, rows),
    importModel: (input) => importModel(blobs, input),
    history: (model) => readHistory(store, model),
    close: () => temporal.close(),
  };
}

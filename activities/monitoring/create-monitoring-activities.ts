import type { MonitorComputeActivities, MonitorControlActivities } from '../../workflows/monitor.activities';
import { keys } from '../../workflows/domain/keys';
import { advanceState, decideLook, type MonitorState } from '../../workflows/domain/monitor-decision';
import type { LookResult, MonitorReport } from '../../workflows/domain/monitoring';
import type { ModelName } from '../../workflows/domain/names';
import type { ObservationDocument } from '../../workflows/domain/observation';
import type { Profile } from '../../workflows/domain/profile';
import type { ReleaseRef } from '../../workflows/domain/release';
import type { ModelSpec } from '../../workflows/domain/spec';
import { withHeartbeat } from '../../infra/process/activity-scope';
import type { AuditLog } from '../../infra/audit/port';
import { coolingUntil } from '../../infra/monitor/cooldown';
import { canonicalBytes } from '../../infra/object-store/digest';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import type { PredictionReader } from '../../infra/predictions/reader';
import type { ReleaseRegistry } from '../../infra/releases/port';
import type { RouteReader } from '../../infra/routes/port';
import { emptyReport, takeLook, type LookSubject } from './take-look';

export interface LookPorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly releases: Pick<ReleaseRegistry, 'manifest'>;
  readonly routes: Pick<RouteReader, 'newest'>;
  readonly predictions: Pick<PredictionReader, 'inputs' | 'statuses' | 'evenRows' | 'dayScores'>;
  /** Epoch ms. */
  readonly now: () => number;
}

/** Kept under the look's id: asked again, the same look gives the same answer. */
interface LookRecord {
  readonly schema: 'slipway.look-record/1';
  readonly look: string;
  readonly result: LookResult;
  /** Null where nothing was measured. */
  readonly state: MonitorState | null;
}

/** Belongs on the compute queue. */
export function createLookActivities(ports: LookPorts): MonitorComputeActivities {
  return {
    look: ({ model, asOf, look }) =>
      withHeartbeat(async () => {
        const existing = await readJson<LookRecord>(ports.store, keys.monitorLook(model, look));
        const record = existing ?? (await lookAt(ports, model, asOf, look));
        const isMine =
          existing !== null || (await ports.store.create(keys.monitorLook(model, look), canonicalBytes(record)));
        const kept = isMine ? record : (await readJson<LookRecord>(ports.store, keys.monitorLook(model, look)))!;
        await keepState(ports.store, model, kept.state);
        return kept.result;
      }),
  };
}

/** Belongs on the control queue. */
export function createLookRecorder(audit: Pick<AuditLog, 'append'>): Pick<MonitorControlActivities, 'recordLook'> {
  return {
    recordLook: async ({ model, look, result }) => {
      await audit.append(model, {
        id: `look/${model}/${look}`,
        kind: 'monitor.looked',
        actor: 'process:compute',
        summary: `monitor: ${result.decision}. ${result.detail}`,
        data: { look, decision: result.decision, retrainAsOf: result.retrainAsOf },
        evidence: [result.report],
      });
    },
  };
}

async function lookAt(ports: LookPorts, model: ModelName, asOf: string | null, look: string): Promise<LookRecord> {
  const route = await ports.routes.newest(model);
  const champion = route?.route.arms.find(({ name }) => name === 'champion')?.release;
  if (!route || !champion) return unmeasured(ports, model, look, asOf ?? isoOf(ports.now()), 'nothing serves');
  // A retired model keeps its champion, which gets no traffic by intent: silence there is no broken feed.
  if (route.route.state === 'retired')
    return unmeasured(ports, model, look, asOf ?? isoOf(ports.now()), 'the model is retired', champion.version);
  const subject = await subjectOf(ports, champion);
  const toMs = asOf === null ? await newestInstant(ports, subject, route.route.generation) : Date.parse(asOf);
  if (toMs === null) return unmeasured(ports, model, look, isoOf(ports.now()), 'no traffic was seen', champion.version);
  const before = await readJson<MonitorState>(ports.store, keys.monitorState(model));
  const earlier = before && before.windowToMs < toMs ? before : null;
  const { monitor } = subject.spec;
  const report = await takeLook(
    ports.predictions,
    subject,
    { fromMs: toMs - monitor.windowMs, toMs },
    earlier?.volumes ?? [],
  );
  const state = advanceState(earlier, look, toMs, report);
  const cooling = await coolingUntil(ports.store, model, report.windowTo);
  const { decision, detail } = decideLook({ spec: monitor, report, state, coolingUntil: cooling });
  const retrainAsOf = decision === 'retrain' ? report.windowTo : null;
  const result: LookResult = { decision, detail, report: await ports.blobs.putJson(report), retrainAsOf };
  return { schema: 'slipway.look-record/1', look, result, state };
}

async function unmeasured(
  ports: LookPorts,
  model: ModelName,
  look: string,
  at: string,
  why: string,
  release = 0,
): Promise<LookRecord> {
  const report: MonitorReport = emptyReport(model, release, at, why);
  const digest = await ports.blobs.putJson(report);
  const result: LookResult = { decision: 'not-measurable', detail: why, report: digest, retrainAsOf: null };
  return { schema: 'slipway.look-record/1', look, result, state: null };
}

async function subjectOf({ releases, blobs }: LookPorts, champion: ReleaseRef): Promise<LookSubject> {
  const manifest = await releases.manifest(champion);
  return {
    model: champion.model,
    version: champion.version,
    manifest,
    spec: await blobs.getJson<ModelSpec>(manifest.spec),
    profile: manifest.profile === null ? null : await blobs.getJson<Profile>(manifest.profile),
  };
}

/** How far time has come in the model's clock, epoch ms: now, or the largest event time answered under the newest routes. */
async function newestInstant(ports: LookPorts, subject: LookSubject, generation: number): Promise<number | null> {
  if (subject.spec.clock === 'wall') return ports.now();
  for (let at = generation; at > 0; at -= 1) {
    let newest: number | null = null;
    for (const key of await ports.store.list(keys.observations(subject.model, at))) {
      if (key.startsWith(keys.breakerEvents(subject.model, at))) continue;
      const document = await readJson<ObservationDocument>(ports.store, key);
      newest = Math.max(newest ?? -Infinity, document?.watermarkMs ?? -Infinity);
    }
    if (newest !== null && Number.isFinite(newest)) return newest;
  }
  return null;
}

/** State is a hint for the next look: a look at an older window does not take it back. */
async function keepState(store: ObjectStore, model: ModelName, state: MonitorState | null): Promise<void> {
  if (!state) return;
  const current = await readJson<MonitorState>(store, keys.monitorState(model));
  if (current && current.windowToMs >= state.windowToMs) return;
  await store.put(keys.monitorState(model), canonicalBytes(state));
}

async function readJson<T>(store: ObjectStore, key: string): Promise<T | null> {
  const bytes = await store.get(key);
  return bytes ? (JSON.parse(Buffer.from(bytes).toString('utf8')) as T) : null;
}

function isoOf(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

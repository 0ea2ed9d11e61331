import { Context } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import type { DeploymentComputeActivities, WatchInput } from '../../workflows/deployment.activities';
import { SlipwayError } from '../../workflows/domain/errors';
import { eventSpan } from '../../workflows/domain/event-span';
import type { QualityReport } from '../../workflows/domain/rollout';
import type { ModelSpec, QualityCheckSpec } from '../../workflows/domain/spec';
import { advantageSeries, type AdvantagePoint, type PairedDay } from '../../workflows/domain/statistics/paired-days';
import { dayLimitOf, judgeQuality } from '../../workflows/domain/statistics/quality-verdict';
import type { Verdict } from '../../workflows/domain/verdict';
import type { PredictionReader } from '../../infra/predictions/reader';
import { type ActivityScope, withHeartbeat } from '../../infra/process/activity-scope';
import { MaturedDays } from './matured-days';
import { readObservations } from './observations';
import { LOOK_EVERY_MS, isStepOver, type CanaryPorts } from './watch-canary';

export interface QualityPorts extends CanaryPorts {
  readonly predictions: Pick<PredictionReader, 'pairedRows'>;
}

/** Blob behind a `QualityReport`: every day and the confidence sequence, for charts. */
export interface QualityEvidence {
  readonly schema: 'slipway.quality-evidence/1';
  readonly rollout: string;
  readonly metric: QualityCheckSpec['metric'];
  readonly days: readonly PairedDay[];
  readonly series: readonly AdvantagePoint[];
  readonly verdict: Verdict;
}

/** Joins predictions with matured labels; belongs on the compute queue. */
export function createQualityWatch(ports: QualityPorts): DeploymentComputeActivities {
  return {
    watchQuality: (input) =>
      // Reading a large day takes longer than the heartbeat may be late.
      withHeartbeat(async (scope) => {
        const check = input.rollout.spec.quality;
        if (!check) throw new SlipwayError('INTERNAL', `${input.rollout.id} has no quality check to watch`);
        const manifest = await ports.releases.manifest(input.rollout.release);
        const spec = await ports.blobs.getJson<ModelSpec>(manifest.spec);
        const matured = new MaturedDays(ports.predictions, input, check, spec.label.maturityMs);
        return watch(ports, input, check, matured, scope);
      }),
  };
}

/** Returns when settled, when the step is over, and, with what is known by then, when cancelled. */
async function watch(
  ports: QualityPorts,
  input: WatchInput,
  check: QualityCheckSpec,
  matured: MaturedDays,
  { heartbeat }: ActivityScope,
): Promise<QualityReport> {
  let days: readonly PairedDay[] = [];
  try {
    for (;;) {
      const observed = await readObservations(ports.store, input.model, input.generations);
      const span = eventSpan(observed.documents);
      const nowMs = ports.now();
      const untilMs = input.rollout.clock === 'event' ? (span?.untilMs ?? null) : nowMs;
      if (span !== null && untilMs !== null) days = await matured.read({ firstMs: span.firstMs, untilMs, nowMs });
      const verdict = judgeQuality(check, days);
      heartbeat({ days: days.length, outcome: verdict.outcome });
      const isOver = input.hold !== true && isStepOver(input, observed, nowMs);
      if (verdict.outcome !== 'inconclusive' || isOver) return await report(ports, input, check, days, verdict);
      await Context.current().sleep(ports.lookEveryMs ?? LOOK_EVERY_MS);
    }
  } catch (error) {
    if (!(error instanceof CancelledFailure)) throw error;
    return report(ports, input, check, days, judgeQuality(check, days));
  }
}

async function report(
  ports: QualityPorts,
  input: WatchInput,
  check: QualityCheckSpec,
  days: readonly PairedDay[],
  verdict: Verdict,
): Promise<QualityReport> {
  const evidence: QualityEvidence = {
    schema: 'slipway.quality-evidence/1',
    rollout: input.rollout.id,
    metric: check.metric,
    days,
    series: advantageSeries(days, check.alpha, dayLimitOf(check)),
    verdict,
  };
  return { verdict, evidence: await ports.blobs.putJson(evidence) };
}

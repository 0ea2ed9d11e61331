import { setWorkflowOptions, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { activitiesOf } from './activity-presets';
import { sayInstant } from './domain/instants';
import { SEARCH_ATTRIBUTES, TASK_QUEUES } from './domain/names';
import type { MonitorComputeActivities, MonitorControlActivities } from './monitor.activities';
import type { MonitorInput, MonitorResult } from './monitor.messages';
import { setKeyword } from './search-attributes';
import { Story } from './story';
import { versioned } from './versioning';

setWorkflowOptions(versioned('PINNED'), monitor);

/** One look at what a model's traffic and labels say: data quality, then drift, then calibration; and what follows from it. */
export async function monitor(input: MonitorInput): Promise<MonitorResult> {
  const { model, asOf } = input;
  const divisor = input.timeoutDivisor ?? 1;
  const compute = activitiesOf<MonitorComputeActivities>('dataJob', { divisor, queue: TASK_QUEUES.compute });
  const control = activitiesOf<MonitorControlActivities>('storeCall', { divisor });
  const id = nameLook(asOf);
  const upTo = asOf === null ? 'the newest event time' : sayInstant(asOf);
  let found = 'Looks at data quality, then drift, then calibration.';
  const story = new Story(() => `## ${model} up to ${upTo}\n\n${found}`);
  upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.model, model)]);
  story.tell(found);

  const result = await compute.look(`Look at ${model} up to ${upTo}`, {
    model,
    asOf,
    look: id,
  });
  found = `**${result.decision}**: ${result.detail}`;
  story.tell(`Decided: ${result.decision}`);
  upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.verdict, result.decision)]);
  await control.recordLook(`Record the decision: ${result.decision}`, { model, look: id, result });
  if (result.decision !== 'retrain' || result.retrainAsOf === null) return { ...result, retrainRun: null };

  const retrain = { model, asOf: result.retrainAsOf, report: result.report, look: id };
  const retrainRun = await control.startRetrain(
    `Start a retrain on the data up to ${sayInstant(result.retrainAsOf)}`,
    retrain,
  );
  story.tell(
    retrainRun
      ? `Started run ${retrainRun}: \`slipway watch ${model} --run ${retrainRun}\``
      : 'No retrain: the last one was too recent',
  );
  return { ...result, retrainRun };
}

/** The same for a look that Temporal starts again: by the window's end, or by when the look was due. */
function nameLook(asOf: string | null): string {
  const instant = asOf ?? workflowInfo().startTime.toISOString();
  return `look-${instant.replace(/[^0-9TZ]/g, '')}`;
}

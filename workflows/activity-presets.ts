import { ActivityCancellationType, type ActivityOptions, proxyActivities } from '@temporalio/workflow';
import { ERRORS } from './domain/errors';
import { TASK_QUEUES, type TaskQueue } from './domain/names';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

/** A light activity's process is gone when it has not answered by then; also what a killed control worker costs at most. */
const LIGHT_CALL_MS = 10 * SECOND_MS;
/**
 * Workers heartbeat each second (workers/worker.ts holds none back longer), so that five in a row were missed: by a process that was killed,
 * or by one whose event loop stood still. The second costs a new attempt beside a zombie that is told to end, never a wrong result.
 */
const HEARTBEAT_MS = 6 * SECOND_MS;
const SHORTEST_HEARTBEAT_MS = 3 * SECOND_MS;
const SHORTEST_CALL_MS = 2 * SECOND_MS;
const DATA_JOB_MS = 2 * 60 * MINUTE_MS;

/** Named here too, so that a code holds even where a worker did not mark its failure. INTERNAL is not among them: its mark decides (infra/temporal/activity-errors.ts). */
const nonRetryableErrorTypes = Object.entries(ERRORS)
  .filter(([code, kind]) => !kind.retryable && code !== 'INTERNAL')
  .map(([code]) => code);

/** Tries again for as long as it takes: a store or a worker that is away for hours costs hours, not the run. */
const patient = {
  initialInterval: 200,
  backoffCoefficient: 2,
  maximumInterval: 10 * SECOND_MS,
  nonRetryableErrorTypes,
};
/** What a job's silence was noticed by has made it wait long enough. */
const unhurried = { ...patient, initialInterval: SECOND_MS / 2, maximumInterval: 30 * SECOND_MS };

/**
 * How an activity is called, by what it is:
 * quick: reads and checks; storeCall: appends to the store; irreversible: changes what is served or promised, idempotent by intent,
 * and a lost race is the workflow's to decide; dataJob, trainingJob: heavy, in heartbeating children; watcher: looks until it sees something.
 */
export type Preset = 'quick' | 'storeCall' | 'irreversible' | 'dataJob' | 'trainingJob' | 'watcher';

interface PresetTiming {
  /** Of one attempt; null: the call must say. */
  readonly startToCloseMs: number | null;
  readonly heartbeats: boolean;
}

const timings: Readonly<Record<Preset, PresetTiming>> = {
  quick: { startToCloseMs: LIGHT_CALL_MS, heartbeats: false },
  storeCall: { startToCloseMs: LIGHT_CALL_MS, heartbeats: false },
  irreversible: { startToCloseMs: LIGHT_CALL_MS, heartbeats: false },
  dataJob: { startToCloseMs: DATA_JOB_MS, heartbeats: true },
  trainingJob: { startToCloseMs: null, heartbeats: true },
  watcher: { startToCloseMs: null, heartbeats: true },
};

export interface CallOptions {
  /** Divides time-outs; part of the workflow's input, so that a replay computes the same commands. */
  readonly divisor: number;
  readonly queue?: TaskQueue;
  /** For presets whose length the spec decides; not divided. */
  readonly startToCloseMs?: number;
  /** Where somebody waits for an answer: how often it is tried before the failure is the answer. */
  readonly attempts?: number;
}

/** The options of one preset. */
export function presetOptions(preset: Preset, options: CallOptions): ActivityOptions {
  const { divisor, queue, startToCloseMs, attempts } = options;
  const timing = timings[preset];
  const fallback = Math.max(SHORTEST_CALL_MS, (timing.startToCloseMs ?? DATA_JOB_MS) / divisor);
  return {
    taskQueue: queue ?? TASK_QUEUES.control,
    startToCloseTimeout: Math.round(startToCloseMs ?? fallback),
    ...(timing.heartbeats
      ? { heartbeatTimeout: Math.round(Math.max(SHORTEST_HEARTBEAT_MS, HEARTBEAT_MS / divisor)) }
      : {}),
    retry: { ...retryOf(preset), ...(attempts === undefined ? {} : { maximumAttempts: attempts }) },
    cancellationType: cancellationOf(preset),
  };
}

function retryOf(preset: Preset): NonNullable<ActivityOptions['retry']> {
  // A conflict tried again unchanged would lose again.
  if (preset === 'irreversible')
    return { ...patient, nonRetryableErrorTypes: [...nonRetryableErrorTypes, 'STORE_CONFLICT'] };
  return preset === 'dataJob' || preset === 'trainingJob' ? unhurried : patient;
}

/**
 * A job ends its child before the run goes on; what cannot be taken back is known to have happened or not; a watcher's last report
 * comes after it was told to stop. Who must not wait for that (a rollback, invariant I4) does not await the call.
 */
function cancellationOf(preset: Preset): ActivityCancellationType {
  const light = preset === 'quick' || preset === 'storeCall';
  return light ? ActivityCancellationType.TRY_CANCEL : ActivityCancellationType.WAIT_CANCELLATION_COMPLETED;
}

/** Temporal refuses summaries of more than 400 bytes. */
const SUMMARY_LIMIT = 200;

/** The same activities, each called with a sentence first that the Temporal UI shows beside it. */
export type Summarised<A> = {
  readonly [K in keyof A]: A[K] extends (input: infer Input) => infer Output
    ? (summary: string, input: Input) => Output
    : never;
};

/** Activities of one contract under one preset. */
export function activitiesOf<A extends object>(preset: Preset, options: CallOptions): Summarised<A> {
  type Call = { executeWithOptions(options: ActivityOptions, args: unknown[]): Promise<unknown> };
  const proxy = proxyActivities<Record<string, (input: unknown) => Promise<unknown>>>(presetOptions(preset, options));
  const call = (name: string) => (summary: string, input: unknown) =>
    (proxy[name] as unknown as Call).executeWithOptions({ summary: clip(summary, SUMMARY_LIMIT) }, [input]);
  return new Proxy({}, { get: (_, name) => call(String(name)) }) as Summarised<A>;
}

/** Text of at most so many characters. */
export function clip(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}

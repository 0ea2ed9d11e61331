/** Names people meet everywhere: in keys, workflow ids, metric labels and roles. */

export interface ModelRef {
  readonly project: string;
  readonly model: string;
}

/** `project/model`, each part 1 to 48 characters of `[a-z0-9-]`, starting with a letter. */
export type ModelName = string;

const part = '[a-z][a-z0-9-]{0,47}';
const modelNamePattern = new RegExp(`^(${part})/(${part})$`);

/** Splits `project/model`; undefined when the text is not a model name. */
export function parseModelName(text: string): ModelRef | undefined {
  const match = modelNamePattern.exec(text);
  return match ? { project: match[1]!, model: match[2]! } : undefined;
}

export function modelName(ref: ModelRef): ModelName {
  return `${ref.project}/${ref.model}`;
}

export const CAUSES = ['manual', 'ci', 'schedule', 'drift', 'import', 'backfill', 'break-glass'] as const;
export type Cause = (typeof CAUSES)[number];

/** Workflow ids are readable because people look them up in the Temporal UI. */
export const workflowIds = {
  lifecycle: (model: ModelName, run: string): string => `lifecycle/${model}/${run}`,
  deployment: (model: ModelName): string => `deployment/${model}`,
  monitor: (model: ModelName): string => `monitor/${model}`,
} as const;

export const TASK_QUEUES = {
  control: 'slipway-control',
  compute: 'slipway-compute',
  gpu: 'slipway-gpu',
} as const;
export type TaskQueue = (typeof TASK_QUEUES)[keyof typeof TASK_QUEUES];

/** Registered by `slipway up`; a start with an unregistered one fails. All are of Temporal's type Keyword. */
export const SEARCH_ATTRIBUTES = {
  model: 'SlipwayModel',
  stage: 'SlipwayStage',
  cause: 'SlipwayCause',
  verdict: 'SlipwayVerdict',
} as const;

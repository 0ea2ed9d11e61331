import { AsyncLocalStorage } from 'node:async_hooks';
import { appendFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import fsPromises from 'node:fs/promises';
import { join } from 'node:path';
import { type ActivityInterceptorsFactory, Worker } from '@temporalio/worker';

/**
 * A worker as it is in production (the role's own main runs), that SIGKILLs itself at each activity boundary once: the interceptor
 * is put in front of `Worker.create`, and nothing else is changed.
 *
 *   killing-worker.ts <control|compute|gpu>      CHAOS_FOLDER: marks and calls;  CHAOS_SIDE: which boundary;  CHAOS_ACTIVITIES: of which, by comma; empty: of all
 */
const role = process.argv[2] ?? '';
const folder = process.env['CHAOS_FOLDER'] ?? '';
const side = process.env['CHAOS_SIDE'] ?? 'none';
/** So many executions of an activity are killed in one scenario: later ones commit other things than the first. */
const deadly = Number(process.env['CHAOS_EXECUTIONS'] ?? '1');

const activities = (process.env['CHAOS_ACTIVITIES'] ?? '').split(',').filter((name) => name !== '');

interface Execution {
  readonly name: string;
  /** Marked when it was killed, so that its next attempt lives. */
  readonly mark: string;
}

const current = new AsyncLocalStorage<Execution>();

/** Which execution of its activity this is, 1 for the first of the scenario; the same for each of its attempts. */
function nth(activity: string, execution: string): number {
  const seen = join(folder, 'seen', activity);
  mkdirSync(seen, { recursive: true });
  const names = readdirSync(seen).sort();
  const known = names.findIndex((name) => name.endsWith(`-${execution}`));
  if (known >= 0) return known + 1;
  writeFileSync(join(seen, `${String(names.length).padStart(4, '0')}-${execution}`), '');
  return names.length + 1;
}

function dieOnce(execution: Execution): void {
  const mark = join(folder, 'killed', execution.mark);
  if (existsSync(mark)) return;
  mkdirSync(join(folder, 'killed'), { recursive: true });
  writeFileSync(mark, '', { flag: 'wx' });
  process.kill(process.pid, 'SIGKILL');
}

const killer: ActivityInterceptorsFactory = ({ info }) => ({
  inbound: {
    async execute(input, next) {
      const place = nth(info.activityType, `${info.workflowExecution?.runId ?? ''}-${info.activityId}`);
      appendFileSync(join(folder, 'calls'), `${info.activityType}#${place} ${info.attempt} ${process.pid}\n`);
      const spared = activities.length > 0 && !activities.includes(info.activityType);
      if (spared || place > deadly) return next(input);
      const execution = { name: info.activityType, mark: `${info.activityType}#${place}` };
      if (side === 'before') dieOnce(execution);
      const result = await current.run(execution, () => next(input));
      if (side === 'after') dieOnce(execution);
      return result;
    },
  },
});

/** `link` is what makes an object of the fs store exist: between the first of an activity's effects and its second. */
function dieAfterFirstWrite(): void {
  const { link } = fsPromises;
  const patched = fsPromises as { link: typeof link };
  patched.link = async (from, to) => {
    await link(from, to);
    const execution = current.getStore();
    if (execution) dieOnce(execution);
  };
}

if (side === 'after-first-write') dieAfterFirstWrite();
const create = Worker.create.bind(Worker);
Worker.create = (options) => {
  const activity = [...(options.interceptors?.activity ?? []), killer];
  return create({ ...options, interceptors: { ...options.interceptors, activity } });
};
// eslint-disable-next-line @typescript-eslint/no-require-imports -- after the patch, and the role's main runs when it is loaded
require(join(__dirname, '../../workers', `${role}.ts`));

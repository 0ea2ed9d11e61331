import { sleep } from '@temporalio/workflow';
import { deployment as soundDeployment } from '../../workflows/deployment';
import { lifecycle as soundLifecycle } from '../../workflows/lifecycle';
import { monitor as soundMonitor } from '../../workflows/monitor';

/** What a careless change does: a timer where none was. Exported under the same names, so that stored histories meet it. */
export async function lifecycle(...args: Parameters<typeof soundLifecycle>): ReturnType<typeof soundLifecycle> {
  await sleep(1000);
  return soundLifecycle(...args);
}

export async function deployment(...args: Parameters<typeof soundDeployment>): ReturnType<typeof soundDeployment> {
  await sleep(1000);
  return soundDeployment(...args);
}

export async function monitor(...args: Parameters<typeof soundMonitor>): ReturnType<typeof soundMonitor> {
  await sleep(1000);
  return soundMonitor(...args);
}

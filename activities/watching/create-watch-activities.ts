import type { DeploymentComputeActivities, DeploymentControlActivities } from '../../workflows/deployment.activities';
import { createCanaryWatch } from './watch-canary';
import { createQualityWatch, type QualityPorts } from './watch-quality';

/** Both watches; the control worker registers `createCanaryWatch` alone, the compute worker `createQualityWatch`. */
export function createWatchActivities(
  ports: QualityPorts,
): Pick<DeploymentControlActivities, 'watchCanary'> & DeploymentComputeActivities {
  return { ...createCanaryWatch(ports), ...createQualityWatch(ports) };
}

import { type WorkflowDefinitionOptions, workflowInfo } from '@temporalio/workflow';
import type { VersioningBehavior } from '@temporalio/common';

/**
 * Options of a workflow type that name its versioning behaviour only where the worker is versioned: the server refuses the
 * completion of an unversioned worker (a development stack) that names one.
 */
export function versioned(versioningBehavior: VersioningBehavior): () => WorkflowDefinitionOptions {
  return () => (workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior } : {});
}

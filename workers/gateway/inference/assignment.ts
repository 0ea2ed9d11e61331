import type { AssignmentSpec } from '../../../workflows/domain/spec';
import type { RequestHeaders } from './inference-context';
import type { InputPlan } from './input-plan';
import type { V2Request } from './protocol';
import { invalid, quote, tooLarge } from './protocol';

const MAX_KEY_LENGTH = 512;

/**
 * What keeps a caller on one arm: the value that the route's assignment names, else the parameter `assignment_key`, else the
 * request id. Throws REQUEST_INVALID where the rows of one request have different values of the assignment feature: they
 * would belong to different arms, and an answer has one.
 */
export function assignmentKey(
  assignment: AssignmentSpec,
  request: V2Request,
  headers: RequestHeaders,
  requestId: string,
  plan: InputPlan,
): string {
  const key =
    assignment.source === 'request'
      ? requestId
      : (namedKey(assignment, request, headers, plan) ?? scalar(request.parameters.assignment_key) ?? requestId);
  if (key.length > MAX_KEY_LENGTH)
    throw tooLarge(`the assignment key has ${key.length} characters; at most ${MAX_KEY_LENGTH}`);
  return key;
}

function namedKey(
  assignment: Exclude<AssignmentSpec, { source: 'request' }>,
  request: V2Request,
  headers: RequestHeaders,
  plan: InputPlan,
): string | null {
  switch (assignment.source) {
    case 'header':
      return scalar(headers[assignment.name.toLowerCase()]);
    case 'parameter':
      return scalar(request.parameters[assignment.name]);
    case 'feature':
      return featureKey(assignment.name, request, plan);
  }
}

function featureKey(name: string, request: V2Request, plan: InputPlan): string | null {
  const values = plan.elementsOf(request, name);
  if (values === null) return null;
  const first = scalarOf(values[0]);
  for (let row = 1; row < values.length; row += 1) {
    if (scalarOf(values[row]) === first) continue;
    throw invalid(`the rows differ in ${quote(name)}, which assigns requests to arms; send one request for each value`);
  }
  return first;
}

/** V2 allows nested lists as well as flat ones. */
function scalarOf(value: unknown): string | null {
  return scalar(Array.isArray(value) ? value[0] : value);
}

function scalar(value: unknown): string | null {
  if (typeof value === 'string') return value === '' ? null : value;
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint' ? String(value) : null;
}

import { assignmentKey } from '../../../workers/gateway/inference/assignment';
import { InputPlan } from '../../../workers/gateway/inference/input-plan';
import type { V2Request } from '../../../workers/gateway/inference/protocol';
import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';
import { inputSignature, signatureWith } from '../../integration/gateway/models';

const plan = new InputPlan(signatureWith([inputSignature('user'), inputSignature('age')]), DEFAULT_LIMITS);

const request = (parameters: Record<string, unknown>, data: unknown[] = [1]): V2Request => ({
  id: 'r1',
  parameters,
  inputs: [{ name: 'user', datatype: 'INT64', shape: [data.length], data }],
  outputs: null,
});

describe('the assignment key', () => {
  it.each([
    ['request', { source: 'request' }, { assignment_key: 'p' }, { 'x-user': 'h' }, 'r1'],
    ['header', { source: 'header', name: 'X-User' }, {}, { 'x-user': 'h' }, 'h'],
    ['parameter', { source: 'parameter', name: 'account' }, { account: 7 }, {}, '7'],
    ['feature', { source: 'feature', name: 'user' }, {}, {}, '1'],
    ['missing header: the general parameter', { source: 'header', name: 'X-User' }, { assignment_key: 'p' }, {}, 'p'],
    ['missing everything: the request id', { source: 'header', name: 'X-User' }, {}, { 'x-user': '' }, 'r1'],
  ] as const)('comes from the %s', (_title, assignment, parameters, headers, expected) => {
    expect(assignmentKey(assignment, request(parameters), headers, 'r1', plan)).toBe(expected);
  });

  it('is refused where the rows of a request have several', () => {
    const ask = (data: unknown[]): string =>
      assignmentKey({ source: 'feature', name: 'user' }, request({}, data), {}, 'r1', plan);
    expect(ask([3, 3])).toBe('3');
    expect(() => ask([3, 4])).toThrow('the rows differ in "user"');
  });

  it('is read out of a matrix and out of a binary tensor', () => {
    const ask = (name: string, data: V2Request['inputs'][0]['data'], shape: number[]): string => {
      const inputs = [{ name, datatype: 'INT64', shape, data }];
      const given = { ...request({}), inputs };
      return assignmentKey({ source: 'feature', name: 'user' }, given, {}, 'r1', plan);
    };
    expect(ask('user', BigInt64Array.of(7n, 7n), [2])).toBe('7');
    expect(ask('rows', BigInt64Array.of(7n, 1n, 7n, 2n), [2, 2])).toBe('7');
    expect(ask('rows', [8, 1, 8, 2], [2, 2])).toBe('8');
    expect(() => ask('rows', [7, 1, 8, 2], [2, 2])).toThrow('the rows differ in "user"');
  });

  it('is bounded', () => {
    const ask = (): string =>
      assignmentKey({ source: 'header', name: 'k' }, request({}), { k: 'x'.repeat(600) }, 'r1', plan);
    expect(ask).toThrow('600 characters');
  });
});

import { ApplicationFailure } from '@temporalio/common';
import { ChildEndedError } from '../../../infra/process/child-end';
import { toFailure } from '../../../infra/temporal/activity-errors';
import { presetOptions } from '../../../workflows/activity-presets';
import { ERRORS, type ErrorCode, SlipwayError } from '../../../workflows/domain/errors';

function thrownBy(failing: () => unknown): unknown {
  try {
    return failing();
  } catch (error) {
    return error;
  }
}

function fail(text: string): never {
  throw new Error(text);
}

describe('what Temporal sees of a failed activity', () => {
  it.each(Object.keys(ERRORS) as ErrorCode[])('is the code %s, retried only where the catalogue says so', (code) => {
    const failure = toFailure(new SlipwayError(code, 'why'));
    expect(failure).toMatchObject({ type: code, nonRetryable: !ERRORS[code].retryable });
    expect(failure.message).toBe('why');
  });

  it('is INTERNAL and tried again for an error that nobody foresaw', () => {
    expect(toFailure(new TypeError('oops'))).toMatchObject({
      type: 'INTERNAL',
      nonRetryable: false,
      message: expect.stringMatching(/^TypeError; the worker's log/) as string,
    });
  });

  it("has no text of a foreign error, which may quote a row, and no cause: the worker's log has both (I10)", () => {
    for (const failing of [
      (): unknown => JSON.parse('ada@example.org'),
      () => BigInt(3.25),
      () => fail('ada@example.org'),
    ]) {
      const error = thrownBy(failing);
      const seen = [error, new SlipwayError('DATA_UNREADABLE', 'rows.csv cannot be read', { cause: error })].map(
        toFailure,
      );
      for (const { message, stack, cause } of seen)
        expect(`${message} ${stack} ${String(cause)}`).not.toMatch(/ada@|3\.25/);
    }
  });

  it('says where in our code it was thrown, and what the system refused', () => {
    const inOurs = Object.assign(new RangeError('7 rows'), {
      stack:
        'RangeError: 7 rows\n    at f (/app/node_modules/x/client/y.js:1:2)\n    at g (/app/infra/onnx/session.ts:14:9)',
    });
    expect(toFailure(inOurs).message).toBe("RangeError at infra/onnx/session.ts:14:9; the worker's log has its text");
    const refused = Object.assign(new Error("EACCES: open '/data/x'"), { code: 'EACCES', syscall: 'open' });
    expect(toFailure(refused).message).toBe("EACCES: open '/data/x'");
    expect(toFailure(new ChildEndedError('the reader ended with exit code 1')).message).toContain('exit code 1');
  });

  it('ends the run for an INTERNAL that was thrown on purpose: the mark decides, as the presets name no INTERNAL', () => {
    expect(toFailure(new SlipwayError('INTERNAL', 'a contradiction')).nonRetryable).toBe(true);
    const { retry } = presetOptions('dataJob', { divisor: 1 });
    expect(retry?.nonRetryableErrorTypes).toContain('DATA_LABEL');
    expect(retry?.nonRetryableErrorTypes).not.toContain('INTERNAL');
  });

  it('is a failure as it was thrown', () => {
    const thrown = ApplicationFailure.nonRetryable('as it is', 'DATA_LABEL');
    expect(toFailure(thrown)).toBe(thrown);
  });
});

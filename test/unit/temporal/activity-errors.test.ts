import { ApplicationFailure } from '@temporalio/common';
import { toFailure } from '../../../infra/temporal/activity-errors';
import { presetOptions } from '../../../workflows/activity-presets';
import { ERRORS, type ErrorCode, SlipwayError } from '../../../workflows/domain/errors';

describe('what Temporal sees of a failed activity', () => {
  it.each(Object.keys(ERRORS) as ErrorCode[])('is the code %s, retried only where the catalogue says so', (code) => {
    const failure = toFailure(new SlipwayError(code, 'why'));
    expect(failure).toMatchObject({ type: code, nonRetryable: !ERRORS[code].retryable });
    expect(failure.message).toBe('why');
  });

  it('is INTERNAL and tried again for an error that nobody foresaw', () => {
    expect(toFailure(new TypeError('oops'))).toMatchObject({ type: 'INTERNAL', nonRetryable: false, message: 'oops' });
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

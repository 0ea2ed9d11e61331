import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ErrorCode, ERRORS, isErrorCode, SlipwayError } from '../../workflows/domain/errors';

const page = readFileSync(join(__dirname, '..', '..', 'docs', 'errors.md'), 'utf8');

/** Code, HTTP status, exit code, yes or no, advice. */
const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (\d+) \| (yes|no) \| (.+) \|$/gm)].map((match) =>
  match.slice(1),
);

describe('the error catalogue and docs/errors.md', () => {
  it('list the same codes in the same order, each once', () => {
    expect(rows.map(([code]) => code)).toEqual(Object.keys(ERRORS));
  });

  it.each(Object.entries(ERRORS))('agree on %s', (code, kind) => {
    const row = rows.find(([documented]) => documented === code);

    expect(row).toEqual([code, String(kind.http), String(kind.exit), kind.retryable ? 'yes' : 'no', kind.advice]);
  });

  it('leave no row of the table unread', () => {
    expect(page.split('\n').filter((line) => line.startsWith('| `'))).toHaveLength(rows.length);
  });

  it('use only the exit codes and statuses that the page explains', () => {
    for (const { http, exit } of Object.values(ERRORS)) {
      expect([2, 3, 4, 5, 6, 7, 70]).toContain(exit);
      expect(http).toBeGreaterThanOrEqual(400);
      expect(http).toBeLessThan(600);
    }
  });

  it('tell a code from any other text', () => {
    expect(isErrorCode('STORE_FULL')).toBe(true);
    expect(isErrorCode('toString')).toBe(false);
  });

  it('give an error its kind and keep its cause', () => {
    const cause = new Error('ENOSPC');
    const code: ErrorCode = 'STORE_FULL';
    const error = new SlipwayError(code, 'no space', { cause });

    expect(error).toMatchObject({ name: 'SlipwayError', code, message: 'no space', cause, kind: ERRORS.STORE_FULL });
  });
});

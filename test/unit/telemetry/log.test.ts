import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../../infra/telemetry/log';
import { SlipwayError } from '../../../workflows/domain/errors';

const folder = mkdtempSync(join(tmpdir(), 'slipway-log-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The line that an error makes in the log. */
function lineOf(err: unknown): string {
  const file = join(folder, 'one.log');
  rmSync(file, { force: true });
  createLogger({ workspace: 'dev', logLevel: 'info' }, 'compute', file).warn({ err }, 'activity failed');
  return readFileSync(file, 'utf8');
}

describe('an error in the log', () => {
  it('is without what a foreign error quotes, as it came or as a cause (I10)', () => {
    const quoting = new Error(`Unexpected token 'a', "ada@example.org's row" is not valid JSON`);
    for (const line of [lineOf(quoting), lineOf(new SlipwayError('DATA_UNREADABLE', 'bad', { cause: quoting }))]) {
      expect(line).not.toContain('ada@');
      expect(line).toContain('Unexpected token');
    }
  });

  it('keeps code, message and stack of our own, and what the system refused', () => {
    expect(JSON.parse(lineOf(new SlipwayError('DATA_LABEL', 'the label "late" is gone')))).toMatchObject({
      err: {
        code: 'DATA_LABEL',
        message: 'the label "late" is gone',
        stack: expect.stringContaining('    at ') as string,
      },
    });
    const refused = Object.assign(new Error("EACCES: open '/data/x'"), { code: 'EACCES', syscall: 'open' });
    expect(lineOf(refused)).toContain('/data/x');
  });
});

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeEntry, runChild } from '../../../infra/process/supervised-child';

const limits = { memoryMb: 512, timeoutMs: 120_000, outputBytes: 10_000 };
const shell = (script: string): string[] => ['/bin/sh', '-c', script];
const script = (code: string): string[] => [process.execPath, '-e', code];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-child-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
};

async function until(condition: () => boolean, withinMs = 30_000): Promise<boolean> {
  for (const end = Date.now() + withinMs; Date.now() < end;) {
    if (condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return condition();
}

const pidIn = (file: string): number => {
  try {
    return Number(readFileSync(join(folder, file), 'utf8'));
  } catch {
    return 0;
  }
};

describe('a supervised child', () => {
  it('returns exit code and output, and takes progress lines out of it', async () => {
    const seen: unknown[] = [];
    const outcome = await runChild({
      argv: shell(`echo one; echo '{"progress":{"epoch":3}}'; echo two >&2; exit 7`),
      limits,
      onProgress: (progress) => seen.push(progress),
    });
    expect(outcome).toEqual({ exitCode: 7, signal: null, limit: null, stdout: 'one\n', stderr: 'two\n' });
    expect(seen).toEqual([{ epoch: 3 }]);
  });

  it('gets no secret of this process', async () => {
    process.env['AWS_SECRET_ACCESS_KEY'] = 'do-not-leak';
    try {
      const outcome = await runChild({ argv: shell('env'), env: { GIVEN: 'yes' }, limits });
      expect(outcome.stdout).toContain('GIVEN=yes');
      expect(outcome.stdout).not.toContain('do-not-leak');
    } finally {
      delete process.env['AWS_SECRET_ACCESS_KEY'];
    }
  });

  it('says 127 for a program that does not exist', async () => {
    const outcome = await runChild({ argv: ['no-such-program-of-slipway'], limits });
    expect(outcome.exitCode).toBe(127);
    expect(outcome.stderr).toContain('no-such-program-of-slipway');
  });

  it('is ended with its whole group when its time is over', async () => {
    // A shell that had no time to start tells nothing; then it is given more.
    for (let timeoutMs = 500; pidIn('pid') === 0; timeoutMs *= 3) {
      const argv = shell(`sleep 600 & echo $! > ${join(folder, 'pid')}; wait`);
      const outcome = await runChild({ argv, limits: { ...limits, timeoutMs } });
      expect(outcome).toMatchObject({ exitCode: null, signal: 'SIGKILL', limit: 'time' });
    }
    expect(await until(() => !lives(pidIn('pid')))).toBe(true);
  });

  it('is ended when the memory of the group passes the limit', async () => {
    const code = 'const hold = []; setInterval(() => hold.push(Buffer.alloc(20e6, 1)), 10)';
    const outcome = await runChild({ argv: script(code), limits: { ...limits, memoryMb: 200 } });
    expect(outcome).toMatchObject({ signal: 'SIGKILL', limit: 'memory' });
  });

  it('is ended when it writes too much, with or without line ends', async () => {
    for (const text of ['yes x', 'yes x | tr -d "\\n"']) {
      const outcome = await runChild({ argv: shell(text), limits });
      expect(outcome.limit).toBe('output');
      expect(outcome.stdout.length).toBeLessThanOrEqual(limits.outputBytes);
    }
  });

  it('is ended by its signal, and then rejects with the reason', async () => {
    const controller = new AbortController();
    const run = runChild({
      argv: shell(`echo $$ > ${join(folder, 'pid')}; sleep 600`),
      limits,
      signal: controller.signal,
    });
    expect(await until(() => pidIn('pid') > 0)).toBe(true);
    controller.abort(new Error('cancelled by the workflow'));
    await expect(run).rejects.toThrow('cancelled by the workflow');
    expect(lives(pidIn('pid'))).toBe(false);
  });

  it('does not start when the signal was aborted before', async () => {
    await expect(
      runChild({ argv: shell('true'), limits, signal: AbortSignal.abort(new Error('too late')) }),
    ).rejects.toThrow('too late');
  });

  it('leaves nobody behind when the program ends before its own children', async () => {
    const outcome = await runChild({ argv: shell(`sleep 600 & echo $! > ${join(folder, 'pid')}`), limits });
    expect(outcome.exitCode).toBe(0);
    expect(await until(() => !lives(pidIn('pid')))).toBe(true);
  });

  it('dies with its parent, even when both are deaf: SIGKILL of the parent, a busy loop in the child', async () => {
    const child = join(folder, 'busy.cjs');
    writeFileSync(
      child,
      `require('fs').writeFileSync(${JSON.stringify(join(folder, 'pid'))}, String(process.pid)); for (;;);`,
    );
    const parent = join(folder, 'parent.ts');
    const product = join(__dirname, '../../../infra/process/supervised-child');
    const task = { argv: [process.execPath, child], limits };
    writeFileSync(
      parent,
      `import { runChild } from ${JSON.stringify(product)}; void runChild(${JSON.stringify(task)});`,
    );
    const [program, ...rest] = nodeEntry(parent);
    const running = spawn(program!, rest, { stdio: 'ignore' });
    expect(await until(() => pidIn('pid') > 0)).toBe(true);
    running.kill('SIGKILL');
    expect(await until(() => !lives(pidIn('pid')))).toBe(true);
  });

  it('may use endWithParent itself and still end on its own', async () => {
    const entry = join(folder, 'entry.ts');
    const product = join(__dirname, '../../../infra/process/supervised-child');
    writeFileSync(
      entry,
      `import { endWithParent } from ${JSON.stringify(product)}; endWithParent(); setTimeout(() => process.stdout.write('done'), 50);`,
    );
    const outcome = await runChild({ argv: nodeEntry(entry), limits });
    expect(outcome).toMatchObject({ exitCode: 0, stdout: 'done' });
  });
});

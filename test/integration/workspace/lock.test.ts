import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeEntry } from '../../../infra/process/node-entry';
import { findLockHolder, lockWorkspace } from '../../../infra/workspace/lock';
import { SlipwayError } from '../../../workflows/domain/errors';

const lockModule = require.resolve('../../../infra/workspace/lock');
const children: ChildProcess[] = [];

/** A process that tries to lock and says `held` or the error's code, then stays until it is killed. */
function locker(home: string): { child: ChildProcess; answer: Promise<string> } {
  const script = `
    const { lockWorkspace } = require(${JSON.stringify(lockModule)});
    try { lockWorkspace(${JSON.stringify(home)}); console.log('held'); } catch (error) { console.log(error.code); }
    setInterval(() => undefined, 1000);`;
  const [program, ...args] = nodeEntry('unused.ts');
  const child = spawn(program!, [...args.slice(0, -1), '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return {
    child,
    answer: new Promise((resolve) => child.stdout.once('data', (data: Buffer) => resolve(data.toString().trim()))),
  };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}

describe('the lock of a workspace', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'slipway-lock-'));
  });
  afterEach(async () => {
    const alive = children.splice(0).filter((child) => child.exitCode === null && child.signalCode === null);
    await Promise.all(alive.map(kill));
    rmSync(home, { recursive: true, force: true });
  });

  it('is refused to a second process, with the pid of the first', async () => {
    const first = locker(home);
    expect(await first.answer).toBe('held');
    expect(() => lockWorkspace(home)).toThrow(
      new SlipwayError('STACK_RUNNING', `workspace folder ${home} is in use by process ${first.child.pid}`),
    );
    expect(findLockHolder(home)?.pid).toBe(first.child.pid);
  });

  it('goes to exactly one of many that start at once', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => locker(home).answer));
    expect(answers.filter((answer) => answer === 'held')).toHaveLength(1);
    expect(answers.filter((answer) => answer === 'STACK_RUNNING')).toHaveLength(5);
  });

  it('is free again when its holder was SIGKILLed, for exactly one of those that find it so', async () => {
    const dead = locker(home);
    expect(await dead.answer).toBe('held');
    await kill(dead.child);
    expect(findLockHolder(home)).toBeNull();
    const answers = await Promise.all(Array.from({ length: 4 }, () => locker(home).answer));
    expect(answers.filter((answer) => answer === 'held')).toHaveLength(1);
  });

  it('is free again after release, and leaves one ticket behind', () => {
    lockWorkspace(home).release();
    lockWorkspace(home).release();
    const last = lockWorkspace(home);
    expect(findLockHolder(home)?.pid).toBe(process.pid);
    last.release();
    expect(readdirSync(home)).toEqual(['stack.3.lock']);
  });
});

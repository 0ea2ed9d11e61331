import { setTimeout as sleep } from 'node:timers/promises';

const WAIT_MS = 120_000;
const LOOK_EVERY_MS = 100;

/** Looks again and again until there is something. A look that fails (a process was just killed) is one that saw nothing. */
export async function untilSeen<T>(what: string, look: () => Promise<T | null>, withinMs = WAIT_MS): Promise<T> {
  let problem = '';
  for (const deadline = Date.now() + withinMs; Date.now() < deadline; await sleep(LOOK_EVERY_MS)) {
    const seen = await look().catch((error: Error) => {
      problem = `; the last look failed: ${error.message}`;
      return null;
    });
    if (seen !== null) return seen;
  }
  throw new Error(`${what} did not come within ${withinMs / 1000} s${problem}`);
}

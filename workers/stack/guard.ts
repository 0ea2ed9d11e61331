/**
 * A background job of a small shell waits for the end of standard input, which the kernel brings even when the supervisor is
 * SIGKILLed, and then ends the program: TERM, and after GRACE_SECONDS everything in its process group. The shell then becomes the
 * program (`exec`), so that its pid is the one we started. Works for programs that are not ours, such as Temporal.
 */
const GRACE_SECONDS = 12;

const SCRIPT = `exec 3<&0
(
  cat <&3 >/dev/null
  kill -TERM $$ 2>/dev/null || exit
  left=${GRACE_SECONDS}
  while [ $left -gt 0 ]; do sleep 1; kill -0 $$ 2>/dev/null || exit; left=$((left - 1)); done
  kill -KILL -- -$$
) >/dev/null 2>&1 &
exec "$@" 3<&-`;

/** argv of the program under the guard. Spawn it `detached`, with a pipe as standard input that is kept open. */
export function guarded(argv: readonly string[]): [string, ...string[]] {
  return ['/bin/sh', '-c', SCRIPT, 'slipway-guard', ...argv];
}

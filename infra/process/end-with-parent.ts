/**
 * Ends this process when its standard input closes, which the kernel does even when the parent is SIGKILLed. For entries whose
 * event loop stays free; `runChild` guards its children from outside in any case. `onEnd` may close things; it must end the process.
 */
export function endWithParent(onEnd: () => void = () => process.exit(1)): void {
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    onEnd();
  };
  process.stdin.on('end', end);
  process.stdin.on('close', end);
  process.stdin.on('error', end);
  process.stdin.resume();
  process.stdin.unref(); // Watching must not keep an entry alive that is done.
}

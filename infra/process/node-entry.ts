/** argv that runs a TypeScript (or compiled) entry of ours in a Node process of its own, with the Node that runs now. */
export function nodeEntry(path: string): string[] {
  return path.endsWith('.ts')
    ? [process.execPath, '--require', require.resolve('tsx/cjs'), path]
    : [process.execPath, path];
}

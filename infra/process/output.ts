import type { Readable } from 'node:stream';

/** Bytes that all streams of one child may still write. */
export interface OutputBudget {
  left: number;
  readonly onSpent: () => void;
}

/**
 * Collects a child's stream as text. A line for which `take` returns true is consumed: it is neither kept nor counted. Reading
 * goes on when the budget is spent, so that the child is killed rather than blocked on a full pipe, but nothing more is kept.
 */
export function collect(stream: Readable, budget: OutputBudget, take: (line: string) => boolean): () => string {
  const kept: string[] = [];
  let open = '';
  const keep = (text: string): void => {
    budget.left -= Buffer.byteLength(text);
    if (budget.left >= 0) kept.push(text);
    else budget.onSpent();
  };
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (open + chunk).split('\n');
    open = lines.pop() ?? '';
    for (const line of lines) if (!take(line)) keep(`${line}\n`);
    if (open.length > Math.max(budget.left, 0)) {
      keep(open);
      open = '';
    }
  });
  return () => kept.join('') + (budget.left >= Buffer.byteLength(open) ? open : '');
}

/** The `progress` property of a line that is a JSON object with one; undefined for any other line. */
export function parseProgress(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null || !('progress' in value)) return undefined;
    const progress = value.progress;
    return typeof progress === 'object' && progress !== null ? { ...progress } : { value: progress };
  } catch {
    return undefined;
  }
}

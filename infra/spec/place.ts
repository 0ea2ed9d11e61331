import { isMap, isNode, isPair, isScalar, isSeq, type Document, type LineCounter, type Node } from 'yaml';
import type { Problem } from './problems';

export interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Where a problem is in the file: at the value; at the key, where the key is wrong; at the section that lacks a key, where
 * something is missing.
 */
export function placeOf(problem: Problem, document: Document, lines: LineCounter): Place {
  const { line, col } = lines.linePos(offsetOf(problem, document));
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function offsetOf(problem: Problem, document: Document): number {
  let node: unknown = document.contents;
  let keyOffset: number | undefined;
  for (const part of problem.path) {
    const next = childOf(node, part);
    if (!next) return keyOffset ?? startOf(node) ?? 0;
    node = next.value;
    keyOffset = next.offset;
  }
  return (problem.key ? keyOffset : startOf(node)) ?? keyOffset ?? 0;
}

/** `offset` is where a person would look for the child: at its key, or at the list's item. */
function childOf(parent: unknown, part: string | number): { value: unknown; offset: number | undefined } | undefined {
  if (isSeq(parent) && typeof part === 'number' && part < parent.items.length) {
    const item = parent.items[part];
    return { value: item, offset: startOf(item) };
  }
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find(
    (item) => isPair(item) && String(isScalar(item.key) ? item.key.value : item.key) === part,
  );
  return pair && { value: pair.value, offset: startOf(pair.key) };
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined;
}

import type { ServingSpec } from '../../../workflows/domain/serving';
import type { Column } from './conversion';

/** Larger requests are batch work, and would push out what comes again. */
const MAX_ROWS = 16;

interface Kept {
  readonly scores: Float32Array;
  readonly expiresMs: number;
}

/**
 * Scores by exact inputs, of one release in one generation of its route: a route change begins with an empty one. The least
 * lately used leaves first.
 */
export class InferenceCache {
  private readonly kept = new Map<string, Kept>();

  constructor(private readonly spec: NonNullable<ServingSpec['cache']>) {}

  /** What names the inputs; null where they are not kept. Exact: every value, its kind, and where rows and columns end. */
  keyOf(columns: readonly Column[], rows: number): string | null {
    if (rows > MAX_ROWS) return null;
    let key = String(rows);
    for (const column of columns) {
      for (let row = 0; row < rows; row += 1) {
        const value = column[row]!;
        // A string says its length, so that no value can look like two.
        if (typeof value === 'string') key += `s${value.length}:${value}`;
        else key += Object.is(value, -0) ? 'n-0' : `n${value}`;
      }
    }
    return key;
  }

  /** `nowMs` is monotonic. */
  get(key: string, nowMs: number): Float32Array | null {
    const found = this.kept.get(key);
    if (found) this.kept.delete(key);
    if (!found || found.expiresMs <= nowMs) return null;
    this.kept.set(key, found);
    return found.scores;
  }

  put(key: string, scores: Float32Array, nowMs: number): void {
    this.kept.delete(key);
    if (this.kept.size >= this.spec.entries) this.kept.delete(this.kept.keys().next().value!);
    this.kept.set(key, { scores, expiresMs: nowMs + this.spec.ttlMs });
  }

  get size(): number {
    return this.kept.size;
  }
}

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  checkSignature,
  DEFAULT_MODEL_LIMITS,
  inspectModel,
  type ModelLimits,
} from '../../../infra/onnx/inspect-model';
import { canonicalJson, type Digest } from '../../../workflows/domain/digest';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { Signature } from '../../../workflows/domain/release';

export interface InspectionsOptions {
  /** This gateway's own folder for what was found good: restarts do not inspect it again. */
  readonly folder: string;
  readonly limits?: ModelLimits;
  readonly nowMs?: () => number;
  readonly onProblem: (error: Error) => void;
}

export interface Inspected {
  /** Of one session; see ModelInspection. */
  readonly memoryBytes: number;
}

/** Part of each note: what older rules found good is inspected again. */
const RULES = 3;
/** Each takes a core and up to the memory limit; a gateway that starts with many models must not start as many children. */
const AT_ONCE = 2;
/** One a release and signature. Half of them go when there are more; a model without its note is looked at again. */
const MAX_NOTES = 2_000;
/** A refused file is asked for at every poll. It is tried again after this, since a busy machine may have been the cause. */
const REFUSED_FOR_MS = 60_000;

/**
 * Models are untrusted, though signed: before one is opened in a thread of this process, which it could take down or fill, it is
 * opened and run once in a limited child and held against its signature.
 */
export class Inspections {
  private readonly refused = new Map<string, { readonly error: SlipwayError; readonly untilMs: number }>();
  private readonly waiting: (() => void)[] = [];
  private running = 0;
  private readonly ending = new AbortController();
  private readonly nowMs: () => number;

  constructor(private readonly options: InspectionsOptions) {
    this.nowMs = options.nowMs ?? (() => performance.now());
    mkdirSync(options.folder, { recursive: true });
  }

  /** What was measured of a good model. Throws MODEL_UNREADABLE and MODEL_SIGNATURE. */
  async check(path: string, model: Digest, signature: Signature): Promise<Inspected> {
    const note = noteOf(model, signature);
    const refused = this.refused.get(note);
    if (refused && refused.untilMs > this.nowMs()) throw refused.error;
    const known = this.recall(note);
    if (known) return known;
    let memoryBytes: number;
    try {
      const inspection = await this.inspect(path);
      checkSignature(inspection, signature);
      memoryBytes = inspection.memoryBytes;
    } catch (error) {
      if (error instanceof SlipwayError) this.refused.set(note, { error, untilMs: this.nowMs() + REFUSED_FOR_MS });
      throw error;
    }
    this.refused.delete(note);
    this.remember(note, { memoryBytes });
    return { memoryBytes };
  }

  /** Ends what is under way; a slow model must not hold up the end of the process. */
  close(): void {
    this.ending.abort();
  }

  private async inspect(path: string): ReturnType<typeof inspectModel> {
    while (this.running >= AT_ONCE) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running += 1;
    try {
      return await inspectModel(path, this.options.limits ?? DEFAULT_MODEL_LIMITS, this.ending.signal);
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }

  private recall(note: string): Inspected | null {
    try {
      return JSON.parse(readFileSync(join(this.options.folder, note), 'utf8')) as Inspected;
    } catch {
      // None, or one that a full disk left empty: the model is looked at again.
      return null;
    }
  }

  private forgetOldest(): void {
    const { folder } = this.options;
    const names = readdirSync(folder);
    if (names.length <= MAX_NOTES) return;
    const dated = names.map((name) => ({ name, atMs: statSync(join(folder, name)).mtimeMs }));
    dated.sort((a, b) => a.atMs - b.atMs);
    for (const { name } of dated.slice(0, names.length - MAX_NOTES / 2)) rmSync(join(folder, name), { force: true });
  }

  private remember(note: string, inspected: Inspected): void {
    try {
      writeFileSync(join(this.options.folder, note), JSON.stringify(inspected));
      this.forgetOldest();
    } catch (error) {
      this.options.onProblem(error as Error);
    }
  }
}

/** Both decide: the same bytes may fit one signature and not another. */
function noteOf(model: Digest, signature: Signature): string {
  return createHash('sha256')
    .update(canonicalJson({ rules: RULES, model, signature }))
    .digest('hex');
}

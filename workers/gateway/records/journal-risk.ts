import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { ModelName } from '../../../workflows/domain/names';

/** Answers of one generation that only memory holds. */
export interface Risk {
  readonly model: ModelName;
  readonly generation: number;
  readonly answers: number;
  /** ISO, of the generation; absent in files of before this field. */
  readonly openedAt?: string | undefined;
}

/** Room for the generations of some hundred models; the newest come first. */
const BYTES = 1 << 16;

/**
 * How many answers the journal could not take, for the next incarnation to tell. The file has its full size from the beginning and is
 * only written over, which a full disk still allows.
 */
export class RiskFile {
  private readonly file: number;

  constructor(path: string) {
    this.file = openSync(path, 'w');
    writeSync(this.file, Buffer.alloc(BYTES, '\n'), 0, BYTES, 0);
  }

  /** Throws what the disk does. */
  write(risks: readonly Risk[]): void {
    let kept = [...risks].reverse();
    let bytes = encode(kept);
    while (bytes.length > BYTES) {
      kept = kept.slice(0, Math.floor(kept.length / 2));
      bytes = encode(kept);
    }
    writeSync(this.file, bytes, 0, bytes.length, 0);
  }

  close(): void {
    closeSync(this.file);
  }
}

/** Empty where there is no such file, or nothing was at risk. */
export function readRisks(path: string): Risk[] {
  try {
    const line = readFileSync(path, 'utf8').split('\n', 1)[0]!;
    return line === '' ? [] : (JSON.parse(line) as Risk[]);
  } catch {
    return [];
  }
}

function encode(risks: readonly Risk[]): Buffer {
  return Buffer.from(risks.length === 0 ? '\n' : `${JSON.stringify(risks)}\n`);
}

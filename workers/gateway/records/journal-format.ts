import type { ModelName } from '../../../workflows/domain/names';
import type { ArmIndex } from './generation-counts';

/**
 * Records of the local journal: a type byte and a fixed body, little endian, so that writing one costs no allocation. A torn
 * last record is what a SIGKILL leaves, and is ignored.
 */
export const OPEN = 1;
export const ANSWER = 2;
/** 3 was a pair without its time. */
export const PAIR = 4;
export const ANSWER_BYTES = 1 + 2 + 1 + 4 + 4 + 8 + 4;
export const PAIR_BYTES = 1 + 2 + 4 + 4 + 8 + 8;

const IS_ERROR = 2;
const IS_NEW_KEY = 4;

export type JournalRecord =
  | {
      readonly kind: 'open';
      readonly index: number;
      readonly model: ModelName;
      readonly generation: number;
      readonly scope: string;
      /** ISO; records of before this field lack it. */
      readonly openedAt?: string | undefined;
    }
  | {
      readonly kind: 'answer';
      readonly index: number;
      readonly arm: ArmIndex;
      readonly isError: boolean;
      readonly isNewKey: boolean;
      readonly high: number;
      readonly low: number;
      readonly atMs: number;
      readonly latencyMs: number;
    }
  | {
      readonly kind: 'pair';
      readonly index: number;
      readonly high: number;
      readonly low: number;
      readonly difference: number;
      readonly atMs: number;
    };

export function encodeOpen(record: Omit<Extract<JournalRecord, { kind: 'open' }>, 'kind'>): Buffer {
  const { model, generation, scope, openedAt } = record;
  const text = Buffer.from(JSON.stringify({ model, generation, scope, openedAt }));
  const bytes = Buffer.alloc(5 + text.length);
  bytes.writeUInt8(OPEN, 0);
  bytes.writeUInt16LE(record.index, 1);
  bytes.writeUInt16LE(text.length, 3);
  text.copy(bytes, 5);
  return bytes;
}

/** Writes at `at` and returns the offset behind the record. */
export function writeAnswer(
  view: DataView,
  at: number,
  index: number,
  arm: ArmIndex,
  isError: boolean,
  isNewKey: boolean,
  high: number,
  low: number,
  atMs: number,
  latencyMs: number,
): number {
  view.setUint8(at, ANSWER);
  view.setUint16(at + 1, index, true);
  view.setUint8(at + 3, arm | (isError ? IS_ERROR : 0) | (isNewKey ? IS_NEW_KEY : 0));
  view.setUint32(at + 4, high, true);
  view.setUint32(at + 8, low, true);
  view.setFloat64(at + 12, atMs, true);
  view.setFloat32(at + 20, latencyMs, true);
  return at + ANSWER_BYTES;
}

export function writePair(
  view: DataView,
  at: number,
  index: number,
  high: number,
  low: number,
  difference: number,
  atMs: number,
): number {
  view.setUint8(at, PAIR);
  view.setUint16(at + 1, index, true);
  view.setUint32(at + 3, high, true);
  view.setUint32(at + 7, low, true);
  view.setFloat64(at + 11, difference, true);
  view.setFloat64(at + 19, atMs, true);
  return at + PAIR_BYTES;
}

/** All whole records; stops at a torn or unknown one. */
export function* readJournal(bytes: Buffer): Generator<JournalRecord> {
  let at = 0;
  while (at < bytes.length) {
    const size = recordSize(bytes, at);
    if (size === null || at + size > bytes.length) return;
    yield readRecord(bytes, at);
    at += size;
  }
}

function recordSize(bytes: Buffer, at: number): number | null {
  switch (bytes[at]) {
    case OPEN:
      return at + 5 > bytes.length ? null : 5 + bytes.readUInt16LE(at + 3);
    case ANSWER:
      return ANSWER_BYTES;
    case PAIR:
      return PAIR_BYTES;
    default:
      return null;
  }
}

function readRecord(bytes: Buffer, at: number): JournalRecord {
  const index = bytes.readUInt16LE(at + 1);
  if (bytes[at] === OPEN) {
    const about = JSON.parse(bytes.toString('utf8', at + 5, at + 5 + bytes.readUInt16LE(at + 3))) as {
      model: ModelName;
      generation: number;
      scope: string;
      openedAt?: string;
    };
    return { kind: 'open', index, ...about };
  }
  if (bytes[at] === PAIR) {
    return {
      kind: 'pair',
      index,
      high: bytes.readUInt32LE(at + 3),
      low: bytes.readUInt32LE(at + 7),
      difference: bytes.readDoubleLE(at + 11),
      atMs: bytes.readDoubleLE(at + 19),
    };
  }
  const flags = bytes[at + 3]!;
  return {
    kind: 'answer',
    index,
    arm: (flags & 1) as ArmIndex,
    isError: (flags & IS_ERROR) !== 0,
    isNewKey: (flags & IS_NEW_KEY) !== 0,
    high: bytes.readUInt32LE(at + 4),
    low: bytes.readUInt32LE(at + 8),
    atMs: bytes.readDoubleLE(at + 12),
    latencyMs: bytes.readFloatLE(at + 20),
  };
}

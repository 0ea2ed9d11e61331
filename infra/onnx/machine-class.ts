import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { version as ortVersion } from 'onnxruntime-node/package.json';

/** One thread: sums have one order, so that the same input gives the same bits (invariant I8). */
export const ORT_THREADS = 1;

/** Instruction sets that math kernels are chosen by, best last. */
const INSTRUCTION_SETS = ['sse4_2', 'avx', 'avx2', 'avx512f', 'avx512_vnni', 'amx_tile', 'asimd', 'sve'] as const;

/** What a model digest may depend on (invariant I8): architecture, instruction sets, runtime versions, threads. */
export function machineClass(): string {
  return [
    process.arch,
    instructionSets(),
    `onnxruntime-${ortVersion}`,
    `node-${process.versions.node}`,
    `threads-${ORT_THREADS}`,
  ].join(' ');
}

function instructionSets(): string {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
    const flags = new Set(line.trim().split(/\s+/));
    return INSTRUCTION_SETS.filter((name) => flags.has(name)).join('+') || 'baseline';
  } catch {
    return (cpus()[0]?.model ?? 'unknown').toLowerCase().replace(/[^a-z0-9]+/g, '-');
  }
}

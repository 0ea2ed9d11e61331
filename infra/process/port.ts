/** Heavy or untrusted work runs in a child of its own process group, under limits, that ends when its parent does. */
export interface ChildLimits {
  /** Resident memory of the whole group, looked at every 200 ms. */
  readonly memoryMb: number;
  readonly timeoutMs: number;
  /** Of standard output and error together; progress lines do not count. */
  readonly outputBytes: number;
  /** Address space of each process, held by the kernel: what one allocation between two looks can take. Our own TypeScript entries reserve 12 GB. */
  readonly addressSpaceMb?: number;
  /** Processor seconds of each process, held by the kernel. */
  readonly cpuSeconds?: number;
}

export interface ChildTask {
  /** argv[0] is the program. Use `nodeEntry()` for a TypeScript entry of ours. */
  readonly argv: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly limits: ChildLimits;
  /** Called for each line of standard output that is a JSON object with a `progress` property. */
  readonly onProgress?: (progress: Readonly<Record<string, unknown>>) => void;
  readonly signal?: AbortSignal;
}

export interface ChildOutcome {
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Which limit ended it. */
  readonly limit: 'memory' | 'time' | 'output' | null;
  /** Last lines, at most outputBytes. */
  readonly stdout: string;
  readonly stderr: string;
}

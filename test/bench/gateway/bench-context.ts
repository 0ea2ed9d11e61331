import type { BenchOptions } from './bench-options';
import type { LoadTool } from './load';

/** What every section is given. */
export interface BenchContext {
  readonly options: BenchOptions;
  readonly load: LoadTool;
  /** A folder for request files and models, removed in the end. */
  readonly folder: string;
  /** A line of progress. */
  readonly say: (text: string) => void;
}

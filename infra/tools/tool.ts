/** Told one short line every few seconds while a tool is fetched or built. */
export type ToolProgress = (line: string) => void;

/** One way to get a tool. `make` fills an empty folder so that `program` in it runs; it throws with the reason where it cannot. */
export interface ToolSource {
  /** What is happening, for progress lines: "building with Go (about 8 minutes)". */
  readonly title: string;
  /** What a user could install for this way to work, for the TOOL_MISSING message. */
  readonly needs: string;
  make(folder: string): Promise<void>;
}

export interface Tool {
  readonly name: string;
  readonly version: string;
  /** File name of the program in the tool's folder. */
  readonly program: string;
  /** Path of a usable one that the machine has already, or null. */
  findInstalled?(): Promise<string | null>;
  /** In the order in which they are tried. */
  readonly sources: readonly ToolSource[];
}

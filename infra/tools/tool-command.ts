import { runChild } from '../process/supervised-child';

/** Proxies, module mirrors and JVM settings; the rest of our environment is no business of a build. */
const passed =
  /^(GO[A-Z]+|HTTPS?_PROXY|NO_PROXY|ALL_PROXY|MAVEN_[A-Z_]+|JAVA_HOME|JDK_JAVA_OPTIONS|SSL_CERT_(FILE|DIR))$/i;

const minuteMs = 60_000;

export interface ToolCommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Standard output of a program that exited 0; otherwise throws an Error with the last lines it wrote. */
export async function runToolCommand(argv: readonly string[], options: ToolCommandOptions = {}): Promise<string> {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => passed.test(name)));
  const outcome = await runChild({
    argv,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...(inherited as Record<string, string>), ...options.env },
    limits: { memoryMb: 16_384, timeoutMs: options.timeoutMs ?? 45 * minuteMs, outputBytes: 4 << 20 },
  });
  if (outcome.exitCode === 0) return outcome.stdout;
  const ending = outcome.limit
    ? `went past its ${outcome.limit} limit`
    : `exited ${outcome.exitCode ?? outcome.signal}`;
  const lastLines = `${outcome.stdout}\n${outcome.stderr}`.trim().split('\n').slice(-3).join(' | ');
  throw new Error(`${argv[0]} ${ending}: ${lastLines}`);
}

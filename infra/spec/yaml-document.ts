import { LineCounter, parseDocument, type Document } from 'yaml';
import { SlipwayError, type ErrorCode } from '../../workflows/domain/errors';
import { placeOf, type Place } from './place';
import { formatPath, type Problem } from './problems';

/** Such a file is a page, not a data set; more than this is a mistake or an attack on the parser. */
const MAX_BYTES = 262_144;

interface PlacedProblem extends Place {
  readonly path: string;
  readonly message: string;
}

/** A YAML file that a person wrote: its top-level keys, and the place of everything that is wrong with them. */
export class YamlDocument {
  private constructor(
    readonly value: Readonly<Record<string, unknown>>,
    private readonly document: Document,
    private readonly lines: LineCounter,
    private readonly file: string,
    private readonly code: ErrorCode,
  ) {}

  /** `file` is what errors call it. `sections` says what should have been there. Throws `code` with line and column. */
  static parse(text: string, file: string, code: ErrorCode, sections: string): YamlDocument {
    if (Buffer.byteLength(text) > MAX_BYTES) throw new SlipwayError(code, `${file} is larger than ${MAX_BYTES} bytes`);
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
    refuse(file, code, syntaxProblems(document, lines));
    return new YamlDocument(readValue(document, file, code, sections), document, lines, file, code);
  }

  /** Throws where there is a problem, and then lists all as `file:line:column path: message`. */
  refuse(problems: readonly Problem[]): void {
    const unique = new Map(problems.map((found) => [`${formatPath(found.path)} ${found.message}`, found]));
    refuse(
      this.file,
      this.code,
      [...unique.values()].map((found) => ({
        ...placeOf(found, this.document, this.lines),
        path: formatPath(found.path),
        message: found.message,
      })),
    );
  }
}

function refuse(file: string, code: ErrorCode, problems: readonly PlacedProblem[]): void {
  if (problems.length === 0) return;
  const listed = [...problems]
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .map(({ line, column, path, message }) => `${file}:${line}:${column} ${path === '' ? '' : `${path}: `}${message}`);
  const text =
    listed.length === 1 ? listed[0]! : `${listed.length} problems\n${listed.map((entry) => `  ${entry}`).join('\n')}`;
  throw new SlipwayError(code, text);
}

function syntaxProblems(document: Document, lines: LineCounter): PlacedProblem[] {
  return document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0]);
    return { line: Math.max(1, line), column: Math.max(1, col), path: '', message: `not valid YAML: ${error.message}` };
  });
}

function readValue(document: Document, file: string, code: ErrorCode, sections: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 20 });
    JSON.stringify(value); // An alias may make a value part of itself.
  } catch (error) {
    throw new SlipwayError(code, `${file}:1:1 not valid YAML: ${(error as Error).message.split('\n')[0]}`, {
      cause: error,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SlipwayError(
      code,
      `${file}:1:1 expected ${sections}; found ${value === null ? 'nothing' : 'something else'}`,
    );
  return value as Record<string, unknown>;
}

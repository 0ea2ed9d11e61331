import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { buildProgram } from '../../client/cli/program';

export const REPOSITORY = join(__dirname, '../..');

/** A page of docs/, and its code blocks by language. */
export function readGuide(name: string): { readonly text: string; readonly blocks: (language: string) => string[] } {
  const text = readFileSync(join(REPOSITORY, 'docs', name), 'utf8');
  const blocks = (language: string): string[] =>
    [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map((match) => match[1]!);
  return { text, blocks };
}

/** Every `npx slipway …` line of the shell examples, as arguments. Throws where a line is another program's. */
export function slipwayLines(shell: readonly string[]): string[][] {
  const lines = shell.flatMap((block) => block.trim().split('\n'));
  return lines.map((line) => {
    if (!line.startsWith('npx slipway ')) throw new Error(`not a slipway command: ${line}`);
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!);
    return words.slice(2);
  });
}

/** Whether the command line takes these arguments; the error that it would print otherwise. Runs nothing. */
export async function parseOnly(args: readonly string[]): Promise<string | null> {
  const program = buildProgram();
  let said = '';
  const quiet = (command: Command): void => {
    command
      .exitOverride()
      .configureOutput({ writeErr: (text) => (said += text) })
      .action(() => undefined);
    command.commands.forEach(quiet);
  };
  program.commands.forEach(quiet);
  program.exitOverride().configureOutput({ writeErr: (text) => (said += text) });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return null;
  } catch (error) {
    return said || (error as Error).message;
  }
}

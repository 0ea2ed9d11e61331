import { setCurrentDetails } from '@temporalio/workflow';
import { clip } from './activity-presets';

export interface StoryLine {
  readonly at: string;
  readonly text: string;
}

const MAX_LINES = 50;
const LINE_LIMIT = 300;
/** Temporal refuses details of more than 20,000 bytes; a character may take four. */
const DETAILS_LIMIT = 4500;

/** What happened, told for people in status queries and in the Temporal UI. */
export class Story {
  private readonly told: StoryLine[];

  /** `describe` renders what the workflow does now, in Markdown; the story follows below it. `before` is what the run before told last. */
  constructor(
    private readonly describe: () => string,
    before: readonly StoryLine[] = [],
  ) {
    this.told = [...before];
  }

  get lines(): readonly StoryLine[] {
    return this.told;
  }

  tell(text: string): void {
    this.told.push({ at: new Date().toISOString(), text: clip(text, LINE_LIMIT) });
    if (this.told.length > MAX_LINES) this.told.shift();
    this.show();
  }

  show(): void {
    const head = this.describe();
    const past = [...this.told].reverse().filter((line, index) => index > 0 || !head.includes(opening(line.text)));
    const log = past.length === 0 ? '' : `\n\n### What happened, newest first\n\n${listByDay(past)}`;
    setCurrentDetails(clip(`${head}${log}`, DETAILS_LIMIT));
  }
}

/** What is being told may stand above already, longer. */
function opening(text: string): string {
  return text.length < LINE_LIMIT ? text : text.slice(0, LINE_LIMIT - 1);
}

/** One heading for each day, so that a run that waited for days shows it and one of a minute does not repeat its date. */
function listByDay(newestFirst: readonly StoryLine[]): string {
  let day = '';
  const lines: string[] = [];
  for (const { at, text } of newestFirst) {
    if (at.slice(0, 10) !== day) lines.push(`${day === '' ? '' : '\n'}**${at.slice(0, 10)}** (UTC)\n`);
    day = at.slice(0, 10);
    lines.push(`- \`${at.slice(11, 19)}\` ${text}`);
  }
  return lines.join('\n');
}

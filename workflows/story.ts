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
  private readonly told: StoryLine[] = [];

  /** `describe` renders what the workflow does now, in Markdown; the story follows below it. */
  constructor(private readonly describe: () => string) {}

  get lines(): readonly StoryLine[] {
    return this.told;
  }

  tell(text: string): void {
    this.told.push({ at: new Date().toISOString(), text: clip(text, LINE_LIMIT) });
    if (this.told.length > MAX_LINES) this.told.shift();
    this.show();
  }

  show(): void {
    const lines = [...this.told].reverse().map((line) => `- ${line.at.slice(0, 19).replace('T', ' ')} ${line.text}`);
    setCurrentDetails(
      clip(`${this.describe()}\n\n### What happened, newest first\n${lines.join('\n')}`, DETAILS_LIMIT),
    );
  }
}

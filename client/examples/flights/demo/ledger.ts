/** What had to happen and what was measured. The demo's exit code is made from this and from nothing else. */
export interface LedgerLine {
  readonly act: string;
  readonly claim: string;
  readonly held: boolean;
  readonly measured: string;
}

export class Ledger {
  readonly lines: LedgerLine[] = [];
  private act = '';

  constructor(private readonly print: (line: string) => void) {}

  begin(act: string): void {
    this.act = act;
    this.print(`\n== ${act}`);
  }

  say(text: string): void {
    this.print(`   ${text}`);
  }

  /** Records a claim with the value that decides it. */
  must(claim: string, held: boolean, measured: string): void {
    this.lines.push({ act: this.act, claim, held, measured });
    this.print(`   ${held ? 'ok  ' : 'FAIL'} ${claim} (${measured})`);
  }

  get failed(): readonly LedgerLine[] {
    return this.lines.filter((line) => !line.held);
  }
}

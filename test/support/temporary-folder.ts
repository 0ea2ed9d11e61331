import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new folder in the system's temporary folder; the caller removes it. */
export function temporaryFolder(purpose: string): { readonly path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), `slipway-${purpose}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }) };
}

import type { ReleaseManifest, SampleRows } from '../../../workflows/domain/release';
import type { Column } from './conversion';
import { missingValue } from './input-plan';

/** A release's sample rows as its inputs take them, in the signature's order. */
export function sampleColumns(manifest: Pick<ReleaseManifest, 'signature'>, rows: SampleRows['rows']): Column[] {
  return manifest.signature.inputs.map((input) =>
    rows.map((row) => {
      const value = row[input.name];
      if (value === null || value === undefined) return missingValue(input);
      return typeof value === 'boolean' ? Number(value) : value;
    }),
  );
}

import { INPUT_COLUMN_TYPES } from '../../../infra/predictions/schema';
import type { InputSignature } from '../../../workflows/domain/release';
import type { FeatureType } from '../../../workflows/domain/spec';
import { sampleOf } from './prediction-row';
import type { LoadedRelease, ServedModel } from '../routes/served-model';

/** What the log thread needs to know of a generation. */
export interface BatchLayout {
  readonly generation: number;
  readonly sample: number;
  /** The union of its arms' inputs; after the columns of infra/predictions/schema.ts. */
  readonly inputs: readonly { readonly name: string; readonly type: (typeof INPUT_COLUMN_TYPES)[FeatureType] }[];
}

/** How rows of one release are laid out: one that answered, with inputs in the order of one that may be another. */
interface RowReading {
  readonly release: LoadedRelease;
  readonly readBy: LoadedRelease;
  /** For each input of the layout its place in a request's columns; -1 where it has none, or may not be kept. */
  readonly places: Int32Array;
  readonly keepsKey: boolean;
}

const layouts = new WeakMap<ServedModel, PredictionLayout>();

export function layoutOf(served: ServedModel): PredictionLayout {
  let layout = layouts.get(served);
  if (!layout) layouts.set(served, (layout = new PredictionLayout(served)));
  return layout;
}

/** The log's columns of one generation. The champion's declaration wins where two arms give one name different types; the other arm's values are null there. */
export class PredictionLayout {
  readonly batch: BatchLayout;
  readonly inputs: readonly InputSignature[];
  /** What the last batch took; the next one begins so large. */
  numbersBytes = 16_384;
  textBytes = 4_096;
  /** One for each pair of releases that met: few, and the last one first. */
  private readings: RowReading[] = [];

  constructor(private readonly served: ServedModel) {
    const inputs = new Map<string, InputSignature>();
    for (const release of served.releases) {
      for (const input of release.manifest.signature.inputs) if (!inputs.has(input.name)) inputs.set(input.name, input);
    }
    this.inputs = [...inputs.values()];
    this.batch = {
      generation: served.route.generation,
      sample: sampleOf(served),
      inputs: this.inputs.map(({ name, type }) => ({ name: `x.${name}`, type: INPUT_COLUMN_TYPES[type] })),
    };
  }

  readingOf(release: LoadedRelease, readBy: LoadedRelease): RowReading {
    for (const reading of this.readings) if (reading.release === release && reading.readBy === readBy) return reading;
    const reading = this.makeReading(release, readBy);
    this.readings = [...this.readings, reading];
    return reading;
  }

  private makeReading(release: LoadedRelease, readBy: LoadedRelease): RowReading {
    const own = readBy.manifest.signature.inputs;
    // By the release that answered: what one release may keep, the next may not.
    const { redact } = release.manifest.serving.log;
    const places = this.inputs.map(({ name, type }) =>
      redact.includes(name) ? -1 : own.findIndex((input) => input.name === name && input.type === type),
    );
    const { assignment } = this.served.route;
    // A key that is a redacted feature's value would tell it.
    const keepsKey = assignment.source !== 'feature' || !redact.includes(assignment.name);
    return { release, readBy, places: Int32Array.from(places), keepsKey };
  }
}

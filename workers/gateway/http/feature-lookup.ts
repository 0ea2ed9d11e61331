import type { ModelName } from '../../../workflows/domain/names';
import type { ServedModel } from '../routes/served-model';

/** One entity whose features are looked up, by the names of its keys: `{"customer": "c-17"}`. */
export type EntityKeys = Readonly<Record<string, string | number>>;

/** Values of features by name; a feature that the store does not have is left out. */
export type FeatureRow = Readonly<Record<string, string | number | boolean | null>>;

/** Where features come from when a caller sends entity keys instead of values: an online store. */
export interface FeatureLookup {
  /** One row for each entity, in their order. Rejects with a SlipwayError. */
  rows(model: ModelName, served: ServedModel, entities: readonly EntityKeys[]): Promise<readonly FeatureRow[]>;
}

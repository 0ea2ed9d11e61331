import type { ModelName } from '../../workflows/domain/names';
import type { Admission } from './edge/admission';
import type { FeatureLookup } from './http/feature-lookup';
import type { InferenceService } from './inference/inference';
import type { ServedModel } from './routes/served-model';

/** What a transport answers from, HTTP or gRPC: the models that are served now, and the way to their scores. */
export interface Models {
  readonly service: InferenceService;
  /** Who may ask what; everybody, where it is left out. */
  readonly admission?: Admission;
  readonly served: (model: ModelName) => ServedModel | undefined;
  readonly allServed: () => readonly ServedModel[];
  /** Known by a route, but no release of it is open yet: why. */
  readonly notReady: (model: ModelName) => string | null;
  /** All that `notReady` tells of; none where nothing is followed. */
  readonly waiting?: () => readonly { readonly model: ModelName; readonly reason: string }[];
  readonly isReady: () => boolean;
  /** Where the features of entity keys come from; none where no online store is configured. */
  readonly features?: FeatureLookup;
}

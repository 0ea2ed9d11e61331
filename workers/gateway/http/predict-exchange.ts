import { SlipwayError } from '../../../workflows/domain/errors';
import type { Answer } from '../inference/answer';
import type { V2Request } from '../inference/protocol';
import { invalid } from '../inference/protocol';
import { encodePredictions } from './responses';
import type { ServedModel } from '../routes/served-model';
import type { FeatureRow } from './feature-lookup';
import { Exchange } from './infer-exchange';
import type { PredictRequest } from './predict-request';
import { parsePredictRequest, toV2 } from './predict-request';

/** `/v1/models/<model>:predict`: rows by feature name, or entity keys. */
export class PredictExchange extends Exchange {
  /** Rows of the entities, once they are looked up. */
  private lookedUp: { readonly request: PredictRequest; readonly rows: readonly FeatureRow[] } | null = null;

  answer(answer: Answer): void {
    this.send(200, encodePredictions(answer));
  }

  protected read(bytes: Buffer, served: ServedModel): V2Request {
    if (this.lookedUp) return toV2(this.lookedUp.request, this.lookedUp.rows, served);
    const request = parsePredictRequest(bytes, this.limits);
    return toV2(request, request.rows!, served);
  }

  protected override infer(bytes: Buffer): void {
    // Almost no request has keys; one that has is parsed here instead of on its way to inference.
    if (!bytes.includes('"keys"')) return super.infer(bytes);
    this.lookUp(bytes)
      .then(() => super.infer(bytes))
      .catch((error: unknown) => this.fail(error));
  }

  private async lookUp(bytes: Buffer): Promise<void> {
    const served = this.find();
    const request = parsePredictRequest(bytes, this.limits);
    if (request.entities === null) return;
    const { features } = this.parts;
    if (!features)
      throw invalid('`keys` need an online feature store, and this gateway has none; send the values as `instances`');
    const rows = await features.rows(served.route.model, served, request.entities);
    if (rows.length !== request.entities.length)
      throw new SlipwayError(
        'INTERNAL',
        `the feature store gave ${rows.length} rows for ${request.entities.length} keys`,
      );
    this.lookedUp = { request, rows };
  }
}

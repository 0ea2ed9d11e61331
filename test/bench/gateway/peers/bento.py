"""BentoML as its guide shows it: one service class, one worker."""

import os

import bentoml
import numpy
import onnxruntime


@bentoml.service
class Scorer:
    def __init__(self) -> None:
        self.session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], providers=["CPUExecutionProvider"])

    @bentoml.api(route="/v2/models/bench/infer")
    def infer(self, id: str, inputs: list[dict]) -> dict:
        columns = [numpy.array(tensor["data"], dtype=numpy.float32).reshape(tensor["shape"]) for tensor in inputs]
        features = numpy.hstack(columns)
        scores = self.session.run(None, {"X": features})[0]
        output = {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": list(scores.shape),
            "data": scores.ravel().tolist(),
        }
        return {"model_name": "bench", "id": id, "outputs": [output]}

"""The runtime that MLServer's guide has people write for a model that it has no runtime for. MLServer has none for ONNX files."""

import numpy
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    async def load(self) -> bool:
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, providers=["CPUExecutionProvider"]
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        features = numpy.hstack([NumpyCodec.decode_input(tensor) for tensor in payload.inputs])
        scores = self._session.run(None, {"X": features})[0]
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            outputs=[NumpyCodec.encode_output("probabilities", scores)],
        )

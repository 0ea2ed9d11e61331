"""FastAPI as its guide shows it: pydantic models in and out, a plain function, uvicorn as it comes."""

import sys

import numpy
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

port, model = int(sys.argv[1]), sys.argv[2]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
app = FastAPI()


class Tensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class InferRequest(BaseModel):
    id: str | None = None
    inputs: list[Tensor]


class InferResponse(BaseModel):
    model_name: str
    id: str | None
    outputs: list[Tensor]


@app.post("/v2/models/bench/infer")
def infer(request: InferRequest) -> InferResponse:
    columns = [numpy.array(tensor.data, dtype=numpy.float32).reshape(tensor.shape) for tensor in request.inputs]
    features = numpy.hstack(columns)
    scores = session.run(None, {"X": features})[0]
    output = Tensor(name="probabilities", datatype="FP32", shape=list(scores.shape), data=scores.ravel().tolist())
    return InferResponse(model_name="bench", id=request.id, outputs=[output])


uvicorn.run(app, host="127.0.0.1", port=port)

"""FastAPI with all that a careful hand takes off: no pydantic, no thread pool, no access log, uvloop and httptools."""

import sys

import numpy
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

port, model = int(sys.argv[1]), sys.argv[2]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
app = FastAPI()


@app.post("/v2/models/bench/infer")
async def infer(request: Request) -> Response:
    body = orjson.loads(await request.body())
    inputs = body["inputs"]
    if len(inputs) == 1:
        features = numpy.array(inputs[0]["data"], dtype=numpy.float32).reshape(inputs[0]["shape"])
    else:  # One column for each feature.
        features = numpy.array([column["data"] for column in inputs], dtype=numpy.float32).T
    scores = session.run(None, {"X": features})[0]
    answer = {
        "model_name": "bench",
        "id": body.get("id"),
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": scores.shape, "data": scores.ravel()}],
    }
    return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")

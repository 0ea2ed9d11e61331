"""Calls a gateway with KServe's client, REST and gRPC, and prints what came back as JSON: argv is the URL, the gRPC address, the model and the rows."""

import asyncio
import json
import sys

import numpy as np
from kserve import InferInput, InferRequest, InferenceGRPCClient, InferenceRESTClient, RESTConfig

url, address, model, rows = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
KINDS = {"distance": ("FP32", np.float32), "late": ("BOOL", bool), "seats": ("INT64", np.int64), "origin": ("BYTES", object)}


def request(binary, rows=rows):
    tensors = []
    for name, (datatype, kind) in KINDS.items():
        values = [row[name] for row in rows]
        tensor = InferInput(name, [len(rows), 1], datatype, None if binary else values)
        if binary:
            encoded = [value.encode() for value in values] if datatype == "BYTES" else values
            tensor.set_data_from_numpy(np.array(encoded, dtype=kind).reshape(-1, 1), binary_data=True)
        tensors.append(tensor)
    return InferRequest(model_name=model, infer_inputs=tensors, request_id="r-1", parameters={"event_time": 983404800000})


def scores(response):
    array = response.outputs[0].as_numpy()
    assert response.outputs[0].name == "score" and array.dtype == np.float32, (response.outputs[0].name, array.dtype)
    return array.reshape(-1).tolist()


async def error(call):
    try:
        await call
    except Exception as problem:
        code = problem.code().name if hasattr(problem, "code") else problem.response.status_code
        return {"status": code, "message": problem.details() if hasattr(problem, "details") else str(problem)}
    return None


async def rest():
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    simple = await client.infer(url, request(False), model_name=model)
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": [await client.is_model_ready(url, model), await client.is_model_ready(url, "flights/none")],
        "scores": scores(simple),
        "id": simple.id,
        "version": simple.model_version,
        "binary": scores(await client.infer(url, request(True), model_name=model)),
        "range": await error(client.infer(url, request(False, [{**rows[0], "distance": 9999.0}]), model_name=model)),
        "model": await error(client.infer(url, request(False), model_name="flights/none")),
    }


async def grpc():
    client = InferenceGRPCClient(address, retries=0)
    simple = await client.infer(request(False))
    return {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model_ready": [await client.is_model_ready(model), await client.is_model_ready("flights/none")],
        "scores": scores(simple),
        "id": simple.id,
        "version": simple.model_version,
        "binary": scores(await client.infer(request(True))),
        "range": await error(client.infer(request(False, [{**rows[0], "distance": 9999.0}]))),
    }


async def main():
    return {"rest": await rest(), "grpc": await grpc()}


print(json.dumps(asyncio.run(main())))

"""Calls a gateway with tritonclient, HTTP or gRPC, and prints what came back as JSON: argv is the protocol, the address, the model and the rows."""

import importlib
import json
import sys

import numpy as np

protocol, address, model, rows = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
module = importlib.import_module(f"tritonclient.{protocol}")
client = module.InferenceServerClient(address)
is_http = protocol == "http"
EVENT_TIME = {"event_time": 983404800000}
KINDS = {"distance": ("FP32", np.float32), "late": ("BOOL", bool), "seats": ("INT64", np.int64), "origin": ("BYTES", object)}


def inputs(rows, **how):
    tensors = []
    for name, (datatype, kind) in KINDS.items():
        values = [row[name].encode() if datatype == "BYTES" else row[name] for row in rows]
        tensor = module.InferInput(name, [len(rows), 1], datatype)
        tensor.set_data_from_numpy(np.array(values, dtype=kind).reshape(-1, 1), **how)
        tensors.append(tensor)
    return tensors


def infer(rows=rows, how={}, **options):
    return client.infer(model, inputs(rows, **how), parameters=options.pop("parameters", EVENT_TIME), **options)


def scores(result):
    array = result.as_numpy("score")
    assert array.dtype == np.float32 and array.shape[1] == 1, (array.dtype, array.shape)
    return array[:, 0].tolist()


def error(call):
    try:
        call()
    except Exception as problem:
        return {"type": type(problem).__name__, "status": problem.status(), "message": problem.message()}
    return None


def plain(value):
    """The same form from a protobuf message and from JSON."""
    if is_http:
        return value
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(value, preserving_proto_field_name=True)


def all_async(count):
    if is_http:
        return [scores(call.get_result()) for call in [client.async_infer(model, inputs(rows), parameters=EVENT_TIME) for _ in range(count)]]
    import queue

    done = queue.Queue()
    for _ in range(count):
        client.async_infer(model, inputs(rows), lambda result, error: done.put((result, error)), parameters=EVENT_TIME)
    answers = [done.get(timeout=60) for _ in range(count)]
    assert all(error is None for _, error in answers), answers
    return [scores(result) for result, _ in answers]


output = module.InferRequestedOutput("score")
named = infer(request_id="r-1", outputs=[output])
answer = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": [client.is_model_ready(model), client.is_model_ready(model, "1"), client.is_model_ready("flights/none")],
    "server": plain(client.get_server_metadata())["name"],
    "inputs": [[i["name"], i["datatype"], [int(n) for n in i["shape"]]] for i in plain(client.get_model_metadata(model))["inputs"]],
    "index": plain(client.get_model_repository_index()),
    "scores": scores(infer()),
    "single": [scores(infer([row]))[0] for row in rows],
    "named": scores(named),
    "id": plain(named.get_response())["id"],
    "version": plain(named.get_response())["model_version"],
    "patient": scores(infer(priority=1, timeout=60_000_000)),
    "async": all_async(8),
    "errors": {
        "range": error(lambda: infer([{**rows[0], "distance": 9999.0}])),
        "model": error(lambda: client.infer("flights/none", inputs(rows), parameters=EVENT_TIME)),
        "output": error(lambda: infer(outputs=[module.InferRequestedOutput("other")])),
        "parameters": error(lambda: infer(parameters={})),
    },
}
if is_http:
    answer["json"] = scores(infer(how={"binary_data": False}, outputs=[module.InferRequestedOutput("score", binary_data=False)]))
    answer["gzip"] = scores(infer(request_compression_algorithm="gzip", response_compression_algorithm="gzip"))
    answer["deflate"] = scores(infer(request_compression_algorithm="deflate", response_compression_algorithm="deflate"))
else:
    answer["gzip"] = scores(infer(compression_algorithm="gzip"))
    answer["in time"] = scores(infer(client_timeout=60))
print(json.dumps(answer))

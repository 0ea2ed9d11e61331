"""Trains LightGBM by Slipway's file contract (docs/training.md) and exports it to ONNX with all transforms inside.

In the spec:

    training:
      trainer:
        kind: command
        command: [.venv/bin/python, train.py]
"""

import json
import os
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import pyarrow.parquet as parquet
from onnx import TensorProto, helper
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

MISSING_INT64 = -(2**63)
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
ROUNDS, PATIENCE, LEAVES = 300, 20, 31
ELEMENTS = {"FP32": TensorProto.FLOAT, "INT64": TensorProto.INT64, "BYTES": TensorProto.STRING, "BOOL": TensorProto.BOOL}
OPSETS = {"": 15, "ai.onnx.ml": 3}


def main():
    source, target = Path(os.environ["SLIPWAY_INPUT"]), Path(os.environ["SLIPWAY_OUTPUT"])
    spec = json.loads((source / "spec.json").read_text())
    signature = json.loads((source / "signature.json").read_text())
    train = parquet.read_table(source / "train.parquet")
    validation = parquet.read_table(source / "validation.parquet")
    vocabularies = learn_vocabularies(train, signature, spec["label"]["column"])
    booster = fit(spec, [matrix(table, signature, vocabularies) for table in (train, validation)], [labels(table, spec) for table in (train, validation)])
    model = export(booster, signature, vocabularies)
    (target / "model.onnx").write_bytes(model.SerializeToString())
    metric, value = next(iter(booster.best_score["validation"].items()))
    (target / "metrics.json").write_text(json.dumps({"epochs": booster.best_iteration, metric: value}))


def fit(spec, matrices, targets):
    binary = spec["task"] == "binary"
    parameters = {
        "objective": "binary" if binary else "regression",
        "metric": "binary_logloss" if binary else "l2",
        "num_leaves": LEAVES,
        "learning_rate": 0.05,
        "min_data_in_leaf": 50,
        # The same snapshot and seed give the same model: one thread adds in one order.
        "seed": int(os.environ["SLIPWAY_SEED"]),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    train = lightgbm.Dataset(matrices[0], targets[0])
    validation = lightgbm.Dataset(matrices[1], targets[1], reference=train)
    callbacks = [lightgbm.early_stopping(PATIENCE, verbose=False), report_progress]
    return lightgbm.train(parameters, train, ROUNDS, valid_sets=[validation], valid_names=["validation"], callbacks=callbacks)


def report_progress(environment):
    if environment.iteration % 10 == 0:
        loss = environment.evaluation_result_list[0][2]
        print(json.dumps({"progress": {"epoch": environment.iteration + 1, "validationLoss": loss}}), flush=True)


def labels(table, spec):
    return table.column(spec["label"]["column"]).to_numpy()


def learn_vocabularies(table, signature, label):
    """Codes of each category in the order of its mean label, so that a tree can split on them as on a number."""
    target = table.column(label).to_numpy()
    learned = {}
    for feature in signature["inputs"]:
        if feature["datatype"] != "BYTES":
            continue
        words = np.array([word or "" for word in table.column(feature["name"]).to_pylist()])
        means = {word: (target[words == word].mean(), word) for word in np.unique(words)}
        learned[feature["name"]] = sorted(means, key=means.get)
    return learned


def matrix(table, signature, vocabularies):
    """The columns that `add_columns` makes inside the graph, in the same order; NaN is missing."""
    columns = []
    for feature in signature["inputs"]:
        values = table.column(feature["name"])
        if feature["type"] == "category":
            codes = {word: code for code, word in enumerate(vocabularies[feature["name"]])}
            columns.append([codes.get(word or "", np.nan) for word in values.to_pylist()])
        elif feature["type"] == "timestamp":
            instants = values.cast("timestamp[ms]").cast("int64").to_numpy(zero_copy_only=False)
            columns += [date_part(instants, part) for part in parts_of(feature)]
        elif feature["type"] == "boolean":
            columns.append(values.cast("int8").to_numpy(zero_copy_only=False))
        else:
            columns.append(values.to_numpy(zero_copy_only=False))
    # The served graph sees FP32, so the trees are grown on it.
    return np.column_stack(columns).astype(np.float32)


def parts_of(feature):
    return [part for part in feature["parts"] if part in ("hour", "dayOfWeek")]


def date_part(instants, part):
    if part == "hour":
        return np.floor(np.mod(instants, DAY_MS) / HOUR_MS)
    return np.mod(np.floor(instants / DAY_MS) + 3, 7)


def export(booster, signature, vocabularies):
    """One graph: raw inputs [N, 1] by feature name, the transforms, the trees, and FP32 [N, 1]."""
    width = booster.num_feature()
    trees = convert_lightgbm(booster, initial_types=[("matrix", FloatTensorType([None, width]))], zipmap=False, target_opset=OPSETS[""])
    nodes, constants, columns = [], [], []
    for feature in signature["inputs"]:
        columns += add_columns(feature, vocabularies, nodes, constants)
    nodes.append(helper.make_node("Concat", columns, ["matrix"], axis=1))
    nodes += trees.graph.node
    constants += trees.graph.initializer
    output = signature["output"]["name"]
    if signature["task"] == "binary":
        constants.append(helper.make_tensor("second", TensorProto.INT64, [1], [1]))
        nodes.append(helper.make_node("Gather", [trees.graph.output[1].name, "second"], [output], axis=1))
    else:
        nodes.append(helper.make_node("Identity", [trees.graph.output[0].name], [output]))
    inputs = [helper.make_tensor_value_info(one["name"], ELEMENTS[one["datatype"]], ["N", 1]) for one in signature["inputs"]]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", 1])]
    graph = helper.make_graph(nodes, "lightgbm", inputs, outputs, constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="lightgbm", ir_version=8)
    onnx.checker.check_model(model)
    return model


def add_columns(feature, vocabularies, nodes, constants):
    """Nodes that turn one raw input into the FP32 columns of `matrix`; returns their names."""
    name = feature["name"]

    def add(kind, inputs, domain="", **attributes):
        result = f"{name}/{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [result], domain=domain, **attributes))
        return result

    def constant(value, element):
        result = f"{name}/c{len(constants)}"
        constants.append(helper.make_tensor(result, element, [], [value]))
        return result

    def whole(value):
        return constant(value, TensorProto.INT64)

    if feature["datatype"] == "BYTES":
        words = vocabularies[name]
        codes = [float(code) for code in range(len(words))]
        return [add("LabelEncoder", [name], "ai.onnx.ml", keys_strings=words, values_floats=codes, default_float=float("nan"))]
    if feature["datatype"] == "FP32":
        return [name]
    if feature["datatype"] == "BOOL":
        return [add("Cast", [name], to=TensorProto.FLOAT)]
    missing, nan = add("Equal", [name, whole(MISSING_INT64)]), constant(float("nan"), TensorProto.FLOAT)
    if feature["type"] == "integer":
        values = [name]
    else:
        in_day = add("Mod", [name, whole(DAY_MS)])
        day = add("Div", [add("Sub", [name, in_day]), whole(DAY_MS)])
        known = {"hour": lambda: add("Div", [in_day, whole(HOUR_MS)]), "dayOfWeek": lambda: add("Mod", [add("Add", [day, whole(3)]), whole(7)])}
        values = [known[part]() for part in parts_of(feature)]
    return [add("Where", [missing, nan, add("Cast", [value], to=TensorProto.FLOAT)]) for value in values]


if __name__ == "__main__":
    main()

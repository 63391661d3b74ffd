"""Some operators of a .tflite as a model of their own: one after the other they are the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_runtime.interpreter import Interpreter

from emo_bench.latency.excerpt import Graph
from emo_edge.modelfile import read_model
from running import ASSETS

INT8, FLOAT32 = ASSETS / "drawn-int8.tflite", ASSETS / "drawn-float32.tflite"


def run(flatbuffer: bytes, known: dict[int, Any]) -> dict[int, Any]:
    """Return the outputs of a model by tensor, given all that is known of its inputs."""
    engine = Interpreter(model_content=flatbuffer)
    engine.allocate_tensors()
    for tensor in engine.get_input_details():
        engine.set_tensor(tensor["index"], known[tensor["index"]])
    engine.invoke()
    outputs = [tensor["index"] for tensor in engine.get_output_details()]
    return {tensor: engine.get_tensor(tensor) for tensor in outputs}


@pytest.mark.parametrize("model", [INT8, FLOAT32], ids=["int8", "float32"])
@pytest.mark.parametrize("pieces", [1, 3, 100], ids=["whole", "thirds", "operators"])
def test_the_pieces_one_after_the_other_give_what_the_model_gives(model: Path, pieces: int) -> None:
    flatbuffer = read_model(model).flatbuffer
    graph = Graph(flatbuffer)
    shape = (1, 48, 48, 1)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    known = {graph.inputs[0]: pixels if model == INT8 else pixels.astype(np.float32)}
    (told,) = run(flatbuffer, known).values()
    count = len(graph.nodes)
    for wanted in np.array_split(np.arange(count), min(pieces, count)):
        known |= run(graph.excerpt(wanted.tolist()), known)
    np.testing.assert_allclose(known[graph.outputs[0]], told, rtol=1e-5, atol=1e-6)


def test_an_operator_reads_and_gives_what_others_made_and_read() -> None:
    graph = Graph(read_model(INT8).flatbuffer)
    last = len(graph.nodes) - 1
    engine = Interpreter(model_content=graph.excerpt([last]))
    engine.allocate_tensors()
    (inputs,) = (tensor["index"] for tensor in engine.get_input_details())
    assert inputs in graph.nodes[last - 1].outputs
    assert [op["op_name"] for op in engine._get_ops_details()] == ["FULLY_CONNECTED"]
    assert graph.moving == {*range(last + 1)}

"""What a .tflite is made of: its operators and their versions, its tensors, what it costs.

Read with the flatbuffer schema that TensorFlow ships; nothing here runs the model.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emo_edge.errors import ModelError


@dataclass(frozen=True)
class Anatomy:
    """A model taken apart.

    Attributes:
        operators: How often each (name, version) occurs, e.g. {("CONV_2D", 3): 12}.
        tensors: How many activations have each type, e.g. {"INT8": 25}.
        float_tensors: Names of the activations that are float.
        inner_float_tensors: Those among them that are neither input nor output of the model.
        weight_bytes: Bytes of constant tensors.
        macs: Multiply-accumulates of one inference (convolutions and dense layers).
    """

    operators: Mapping[tuple[str, int], int]
    tensors: Mapping[str, int]
    float_tensors: tuple[str, ...]
    inner_float_tensors: tuple[str, ...]
    weight_bytes: int
    macs: int

    @property
    def integer_share(self) -> float:
        """Share of the activations that are integer, 0 to 1."""
        total = sum(self.tensors.values())
        floats = sum(count for kind, count in self.tensors.items() if kind.startswith("FLOAT"))
        return 1.0 - floats / total if total else 0.0


def dissect(flatbuffer: bytes) -> Anatomy:
    """Take TFLite bytes apart; raises `ModelError` if they are none."""
    from tensorflow.lite.python import schema_py_generated as schema

    try:
        model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
        kinds = _names(schema.TensorType)
        activations, operators, weight_bytes, macs = [], [], 0, 0
        for graph in model.subgraphs:  # the first is the model, others are bodies of WHILE and IF
            used = [_operator(model, op, schema) for op in graph.operators]
            operators += used
            macs += sum(
                _macs(graph, op, name) for op, (name, _) in zip(graph.operators, used, strict=True)
            )
            sizes = [_constant_bytes(model, tensor) for tensor in graph.tensors]
            weight_bytes += sum(sizes)
            outer = {*graph.inputs, *graph.outputs}
            activations += [
                (kinds[tensor.type], tensor.name.decode(), index in outer)
                for index, (tensor, size) in enumerate(zip(graph.tensors, sizes, strict=True))
                if not size
            ]
        floats = [a for a in activations if a[0].startswith("FLOAT")]
        return Anatomy(
            operators=Counter(operators),
            tensors=Counter(kind for kind, _, _ in activations),
            float_tensors=tuple(name for _, name, _ in floats),
            inner_float_tensors=tuple(name for _, name, outer in floats if not outer),
            weight_bytes=weight_bytes,
            macs=macs,
        )
    except (struct.error, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelError("the flatbuffer cannot be read: it is damaged or truncated") from error


def _names(enumeration: Any) -> dict[int, str]:
    return {v: k for k, v in vars(enumeration).items() if not k.startswith("_")}


def _operator(model: Any, operator: Any, schema: Any) -> tuple[str, int]:
    code = model.operatorCodes[operator.opcodeIndex]
    # Old files hold codes below 128 in the first field only.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return _names(schema.BuiltinOperator)[number], int(code.version)


def _constant_bytes(model: Any, tensor: Any) -> int:
    data = model.buffers[tensor.buffer].data
    return 0 if data is None else len(data)


def _macs(graph: Any, operator: Any, name: str) -> int:
    """Output positions x kernel volume, by the shapes of weights and output."""
    if name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return 0
    weights = graph.tensors[operator.inputs[1]].shape
    output = graph.tensors[operator.outputs[0]].shape
    if name == "FULLY_CONNECTED":
        return int(np.prod(weights))
    return int(np.prod(output[1:3]) * np.prod(weights))

"""What a loaded model is made of, and what of it runs inside a delegate.

No Python runtime of TFLite tells how long each operator takes; its `benchmark_model` does
(`--enable_op_profiling=true`). What is told here is what can be known: which operators there are,
on what shapes and types, their multiply-accumulates, and whether a delegate took them over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from emo_edge.backends import Interpreter

DELEGATE = "DELEGATE"


def anatomy(interpreter: Interpreter) -> dict[str, Any]:
    """Return `delegates`, how many `operators` are `delegated`, `macs`, and the `list` of them."""
    found = interpreter.operators()
    inside = _inside(found)
    listed = [
        {**_operator(interpreter, op), "delegated": op["index"] in inside}
        for op in found
        if op["op_name"] != DELEGATE
    ]
    return {
        "delegates": len(found) - len(listed),
        "operators": len(listed),
        "delegated": sum(op["delegated"] for op in listed),
        "macs": sum(op["macs"] for op in listed),
        "list": listed,
    }


def _inside(operators: Sequence[dict[str, Any]]) -> set[int]:
    """Return the operators that a delegate took over: all between its inputs and its outputs."""
    maker = {
        int(tensor): op for op in operators if op["op_name"] != DELEGATE for tensor in op["outputs"]
    }
    inside: set[int] = set()
    for delegate in (op for op in operators if op["op_name"] == DELEGATE):
        inputs = set(map(int, delegate["inputs"]))
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            tensor = waiting.pop()
            op = maker.get(tensor)
            if op is not None and tensor not in inputs and op["index"] not in inside:
                inside.add(op["index"])
                waiting += [int(t) for t in op["inputs"]]
    return inside


def _operator(interpreter: Interpreter, op: dict[str, Any]) -> dict[str, Any]:
    inputs = [int(t) for t in op["inputs"] if t >= 0]  # -1 is a bias that is left out
    shape, kind = interpreter.tensor(int(op["outputs"][0]))
    weights = interpreter.tensor(inputs[1])[0] if len(inputs) > 1 else ()
    return {
        "operator": op["op_name"],
        "input": list(interpreter.tensor(inputs[0])[0]) if inputs else [],
        "output": list(shape),
        "type": kind,
        "macs": _macs(op["op_name"], weights, shape),
    }


def _macs(name: str, weights: Sequence[int], output: Sequence[int]) -> int:
    """Output positions x kernel volume, as in `emo-convert inspect`."""
    if name == "FULLY_CONNECTED":
        return math.prod(weights)
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return math.prod(output[1:3]) * math.prod(weights)
    return 0

"""What a loaded model is made of, and what of it runs inside a delegate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from emo_edge.backends import Interpreter

DELEGATE = "DELEGATE"
# By how much the times of the parts may miss that of the whole. Alone an operator finds its tensors
# in the caches: small nets were seen to take up to 10 % less in parts.
TOLERATED = 0.15


def anatomy(interpreter: Interpreter) -> dict[str, Any]:
    """Return `delegates`, how many `operators` are `delegated`, `macs`, and the `list` of them."""
    found = interpreter.operators()
    inside = {number for members in partitions(found) for number in members}
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


def partitions(operators: Sequence[dict[str, Any]]) -> list[set[int]]:
    """Return the operators of each piece that a delegate took over, by their numbers.

    They are all those between its inputs and its outputs.

    Args:
        operators: The runtime's own list (see `Interpreter.operators`).
    """
    maker = {
        int(tensor): op for op in operators if op["op_name"] != DELEGATE for tensor in op["outputs"]
    }
    found = []
    for delegate in (op for op in operators if op["op_name"] == DELEGATE):
        inside: set[int] = set()
        inputs = set(map(int, delegate["inputs"]))
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            tensor = waiting.pop()
            op = maker.get(tensor)
            if op is not None and tensor not in inputs and op["index"] not in inside:
                inside.add(op["index"])
                waiting += [int(t) for t in op["inputs"]]
        found.append(inside)
    return found


def milliseconds_of_parts(made: dict[str, Any]) -> float:
    """Return the sum of the times of what the whole is made of: delegates' pieces, other operators.

    Args:
        made: From `anatomy`, with the times that `operator_times.py` tells.
    """
    inside = {number for piece in made["partitions"] for number in piece["operators"]}
    outside = [op for number, op in enumerate(made["list"]) if number not in inside]
    times = [part["milliseconds"] for part in (*made["partitions"], *outside)]
    return float(sum(part["median"] for part in times if part is not None))


def adding_up(made: dict[str, Any]) -> list[str]:
    """Return why the times of operators are not to be trusted; `made` as above."""
    found = [
        f"a delegate's piece of {len(piece['operators'])} operators is another by itself: "
        "do not trust its time"
        for piece in made["partitions"]
        if piece["pieces"] != 1
    ]
    parts, whole = milliseconds_of_parts(made), made["whole"]["median"]
    if abs(parts - whole) > TOLERATED * whole:
        found.append(
            f"operators alone take {parts:.3f} ms together, all in one {whole:.3f} ms: "
            "do not trust their times"
        )
    return found


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

"""How long each operator takes, in a process of its own.

    python -m emo_bench.latency.operator_times TASK

No Python runtime of TFLite tells the times of operators, so each is made a model of its own
(`excerpt.py`) and timed alone, on noise, as is the whole model. So is every piece that a delegate
took over: inside it operators may be merged, and what one takes alone is then not what it takes
there. Whether the parts add up to the whole is part of the result.

All take turns, in random order, many times: what disturbs the machine meets all of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emo_bench.children import answer
from emo_bench.latency.excerpt import Graph
from emo_bench.latency.operators import DELEGATE, partitions
from emo_bench.statistics import describe_median
from emo_edge.backends import find_backend, load_engine
from emo_edge.errors import ModelError
from emo_edge.modelfile import read_model

WARM_UP_RUNS, RUNS = 3, 10  # of each turn; the fastest counts, since interruptions only add
LEAST_TURNS, MOST_TURNS = 11, 101
SECONDS = 5.0
MOST_BYTES = 1 << 30  # each operator has the model's bytes in memory


class Timed:
    """A model, ready to be timed.

    Args:
        flatbuffer: The model.
        backend: Name of the runtime.
        threads: Of the runtime.
    """

    def __init__(self, flatbuffer: bytes, backend: str, threads: int) -> None:
        try:
            self._engine = load_engine(flatbuffer, find_backend(backend), threads)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"an operator alone is refused: {error}") from error
        self._feed()
        self.milliseconds: list[float] = []

    @property
    def operators(self) -> list[dict[str, Any]]:
        """The runtime's own list."""
        return list(self._engine._get_ops_details())

    def turn(self) -> None:
        """Take one turn."""
        for _ in range(WARM_UP_RUNS):
            self._engine.invoke()
        fastest = math.inf
        for _ in range(RUNS):
            began = time.perf_counter_ns()
            self._engine.invoke()
            fastest = min(fastest, time.perf_counter_ns() - began)
        self.milliseconds.append(fastest / 1e6)

    def _feed(self) -> None:
        rng = np.random.default_rng(0)
        for tensor in self._engine.get_input_details():
            shape, kind = tensor["shape"], np.dtype(tensor["dtype"])
            noise = rng.random(shape) if kind.kind == "f" else rng.integers(0, 127, shape)
            self._engine.set_tensor(tensor["index"], noise.astype(kind))


def _measure(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return statistics in milliseconds of `whole`, `operators` by number, and `partitions`."""
    flatbuffer = read_model(Path(task["model"])).flatbuffer
    graph = Graph(flatbuffer)
    if len(flatbuffer) * len(graph.nodes) > MOST_BYTES:
        raise ModelError(
            f"{len(graph.nodes)} operators of a model of {len(flatbuffer) >> 20} MiB need more "
            "memory than there should be: leave --per-op out"
        )

    def timed(content: bytes) -> Timed:
        return Timed(content, task["backend"], task["threads"])

    nothing, whole = timed(graph.excerpt([])), timed(flatbuffer)
    alone = {n: timed(graph.excerpt([n])) for n in sorted(graph.moving)}
    taken = [sorted(members) for members in partitions(whole.operators)]
    pieces = [timed(graph.excerpt(members)) for members in taken]
    _take_turns([nothing, whole, *alone.values(), *pieces])
    invoking = float(np.median(nothing.milliseconds))  # what a call of `invoke` itself takes

    def described(one: Timed) -> dict[str, float]:
        return describe_median(np.maximum(0.0, np.array(one.milliseconds) - invoking))

    return {
        "whole": described(whole),
        "operators": {number: described(one) for number, one in alone.items()},
        "partitions": [
            # As one piece again, or the excerpt is not what the model runs.
            {"operators": members, "pieces": _delegates(piece), "milliseconds": described(piece)}
            for members, piece in zip(taken, pieces, strict=True)
        ],
    }


def _take_turns(models: Sequence[Timed]) -> None:
    rng, began = np.random.default_rng(0), time.monotonic()
    for turn in range(MOST_TURNS):
        if turn >= LEAST_TURNS and time.monotonic() - began > SECONDS:
            return
        for place in rng.permutation(len(models)):
            models[place].turn()


def _delegates(model: Timed) -> int:
    return sum(op["op_name"] == DELEGATE for op in model.operators)


if __name__ == "__main__":
    answer(_measure)

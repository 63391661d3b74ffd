"""What `emo-edge tune` remembered, damaged."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_runtime.drawn import INT8
from emo_edge.artifacts import sha256
from emo_edge.errors import UsageError
from emo_edge.tuning.memory import conditions, memory_file, recall
from fuzz.damage import NUMBERS, damaged
from fuzz.door import Contained, Door
from fuzz.doors.metadata import VALUES, changed

DIGEST = sha256(INT8.read_bytes())
KEPT: dict[str, Any] = {
    "format": 1,
    "models": {
        DIGEST: {
            "conditions": conditions(),
            "model": str(INT8),
            "model_sha256": DIGEST,
            "backend": "tflite_runtime",
            "threads": 1,
            "median_ms": 0.5,
        }
    },
}


def draw(dice: random.Random) -> bytes:
    if dice.random() < 0.3:
        return damaged(dice, json.dumps(KEPT).encode())
    if dice.random() < 0.4:  # what is read last
        name = dice.choice(("backend", "threads", "median_ms"))
        kept = {**KEPT["models"][DIGEST], name: dice.choice((*VALUES, *NUMBERS))}
        return json.dumps({**KEPT, "models": {DIGEST: kept}}).encode("utf-8", "surrogatepass")
    return json.dumps(changed(dice, KEPT)).encode("utf-8", "surrogatepass")


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    memory_file().parent.mkdir()

    def enter(content: bytes) -> None:
        memory_file().write_bytes(content)
        if recall(INT8)[0] is None:
            raise UsageError("nothing is remembered")

    return enter


DOOR = Door("memories", draw, open_door, share=0.005)

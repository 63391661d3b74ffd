"""Model files whose flatbuffer is damaged though its checksum is right."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_runtime.drawn import FLOAT32, INT8
from emo_edge.backends import BACKENDS, Interpreter
from emo_edge.classifier import Classifier
from emo_edge.modelfile import pack, read_model
from emo_edge.probe import main as probe  # noqa: F401  (imported before the fork)
from fuzz.damage import damaged, number_into
from fuzz.door import Contained, Door

PARTS = [read_model(path) for path in (INT8, FLOAT32)]
GRAPH_BYTES = 9000  # of the end: tables and offsets; the weights lie before it


def draw(dice: random.Random) -> bytes:
    part = dice.choice(PARTS)
    assert part.spec is not None
    data = bytearray(part.flatbuffer)
    if dice.random() < 0.8:  # offsets, counts, shapes, indices: aligned words of the graph
        for _ in range(dice.choice((1, 1, 2, 6))):
            at = dice.choice((dice.randrange(0, 64, 4), len(data) - dice.randrange(4, GRAPH_BYTES)))
            number_into(dice, data, at - at % 4 if dice.random() < 0.7 else at)
        content = bytes(data)
    else:
        content = damaged(dice, part.flatbuffer, [other.flatbuffer for other in PARTS])
    golden = part.golden if dice.random() < 0.5 else None
    return pack(content, part.spec, golden)


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    path = folder / "m.tflite"
    backends = [b for b in BACKENDS.values() if b.installed and b.name != "tensorflow"]
    noise = np.random.default_rng(0).integers(0, 256, (4, 48, 48), np.uint8)

    def enter(content: bytes) -> None:
        path.write_bytes(content)
        for backend in backends:
            with contained():  # what `emo_edge.probe` does
                probed = Interpreter(read_model(path).flatbuffer, backend)
                probed.run(np.full(probed.input_shape, 128, np.uint8))
            classify = Classifier(path, backend=backend.name, contained=True)
            for picture in noise:
                classify(picture)

    return enter


DOOR = Door("models", draw, open_door, share=0.04)

"""Ask a Keras model, in a process of its own: TensorFlow stays out of the one that benchmarks.

    python -m emo_bench.accuracy.keras_child TASK

With `faces` the raw outputs float32[N,n] are written to `outputs`; without, the spec that the
model has by its shapes and the labels given is printed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from emo_bench.children import answer
from emo_edge.messages import hushed


def _measure(task: dict[str, Any]) -> dict[str, Any]:
    with hushed():
        return _answer(task)


def _answer(task: dict[str, Any]) -> dict[str, Any]:
    import keras

    from emo_convert.subject import RAW, load_keras, output_kind, spec_of, taking_raw_pixels
    from emo_edge.modelfile import read_labels

    path = Path(task["model"])
    model = load_keras(path)
    if task["labels"] is not None:
        scaling = tuple(task["input_range"]) if task["input_range"] else RAW
        spec = spec_of(model, read_labels(Path(task["labels"])), path)
        model = taking_raw_pixels(model, spec, scaling)
    if "faces" not in task:
        textures = np.random.default_rng(0).integers(0, 256, (32, *spec.input_shape[1:]), np.uint8)
        described = {**spec.to_json(), "output": output_kind(model, textures)}
        return {"spec": json.dumps(described)}
    pixels = np.load(task["faces"]).astype(np.float32)
    np.save(task["outputs"], np.asarray(model.predict(pixels, batch_size=256, verbose=0)))
    return {"runtime": f"keras {keras.__version__} on {keras.backend.backend()}"}


if __name__ == "__main__":
    answer(_measure)

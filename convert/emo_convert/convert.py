"""One conversion: export, compare through the device's interpreter, publish or refuse."""

from __future__ import annotations

import dataclasses
import platform
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from emo_convert import golden
from emo_convert.export import export
from emo_convert.parity import Gate, Parity, compare
from emo_convert.run import Run
from emo_edge.artifacts import write_bytes, write_json
from emo_edge.backends import find_backend
from emo_edge.contract import Image, Probabilities, probabilities
from emo_edge.errors import GateError
from emo_edge.messages import hushed
from emo_edge.modelfile import pack
from emo_edge.score import score_in_own_process
from emo_edge.version import __version__


@dataclasses.dataclass(frozen=True)
class Converted:
    """A conversion that passed its gate."""

    path: Path
    size: int
    parity: Parity


def convert(run: Run, quantization: str, target: Path, gate: Gate, backend: str) -> Converted:
    """Export `run`, gate it, and write `target` and its report.

    Raises `GateError` if the gate fails; then the report is written and `target` is left alone.
    """
    runtime = find_backend(backend)
    with hushed():
        flatbuffer = export(run.model, run.spec, quantization, run.calibration)
    textures = golden.candidates(run.spec)
    faces = np.concatenate([textures, run.evaluation])
    answers = _device_answers(pack(flatbuffer, run.spec), faces, runtime.name)
    parity = compare(
        keras_answers(run),
        answers[len(textures) :],
        run.truth,
        split=run.split,
        runtime=runtime.version,
        gate=gate,
    )
    conversion = _record(run, quantization, gate, parity)
    write_json(report_path(target), conversion)
    if parity.failures:
        raise GateError(
            f"{target.name} was not written: {'; '.join(parity.failures)}; see "
            f"{report_path(target)}, and try another --quantize or a longer training"
        )
    spec = dataclasses.replace(run.spec, minimum_runtime=runtime.version, conversion=conversion)
    content = pack(flatbuffer, spec, golden.choose(textures, answers[: len(textures)]))
    write_bytes(target, content)
    return Converted(target, len(content), parity)


def report_path(target: Path) -> Path:
    """Return where the report of a conversion goes: beside the model."""
    return target.with_suffix(".report.json")


def keras_answers(run: Run) -> Probabilities:
    """Return the probabilities float32[N,n] of the Keras model on the evaluation faces."""
    pixels = run.evaluation.astype(np.float32)
    outputs = np.asarray(run.model.predict(pixels, batch_size=256, verbose=0))
    return probabilities(outputs, run.spec)


def _device_answers(content: bytes, faces: Image, backend: str) -> Probabilities:
    with tempfile.TemporaryDirectory(prefix="emo-convert-") as folder:
        candidate = Path(folder, "candidate.tflite")
        candidate.write_bytes(content)
        return score_in_own_process(candidate, faces, backend)


def _record(run: Run, quantization: str, gate: Gate, parity: Parity) -> dict[str, Any]:
    return {
        "quantization": quantization,
        "keras_sha256": run.model_sha256,
        "calibration": {
            "images": len(run.calibration) if quantization == "int8" else 0,
            "split": "train",
            "seed": run.calibration_seed,
        },
        "gate": dataclasses.asdict(gate),
        "parity": parity.to_json(),
        "versions": {
            "emo-toolkit": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
        },
    }


def default_target(folder: Path, quantization: str) -> Path:
    """Return RUN/<run name>-<quantization>.tflite."""
    suffix = "float32" if quantization == "none" else quantization
    return folder / f"{folder.resolve().name}-{suffix}.tflite"

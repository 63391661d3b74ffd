"""Score prepared faces with the device's own classifier, in a process of its own.

    python -m emo_edge.score MODEL.tflite FACES.npz ANSWERS.npy [--backend NAME]

The parity gate and the accuracy benchmark use it, because a process that has imported TensorFlow
may silently run TensorFlow's kernels in place of the device's.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from emo_edge.artifacts import atomic_path
from emo_edge.commands import Command, guarded, new_app
from emo_edge.contract import Image, Probabilities
from emo_edge.errors import DataError, ModelError
from emo_edge.processes import module_command

if TYPE_CHECKING:
    from emo_edge.classifier import Classifier

app = new_app("Score prepared faces (an .npz with `pixels`) with the device's own classifier.")


@app.command(cls=Command)
@guarded
def score(
    model: Path,
    faces: Path,
    answers: Path,
    backend: Annotated[str, typer.Option(help="Runtime to use.")] = "auto",
    labels: Annotated[Path | None, typer.Option(help="Labels of a plain .tflite.")] = None,
    input_range: Annotated[
        tuple[float, float] | None, typer.Option(help="Input range of a plain .tflite.")
    ] = None,
) -> None:
    """Write the probabilities float32[N,n] of `faces` to `answers`; print how it went as JSON."""
    from emo_edge.classifier import Classifier
    from emo_edge.faces import UNREADABLE

    classifier = Classifier(
        model, labels=labels, input_range=input_range, backend=backend, contained=True
    )
    try:
        pixels = np.load(faces)["pixels"]
    except UNREADABLE as error:
        raise DataError(f"cannot read faces from {faces}: {error}") from error
    shape = classifier.spec.input_shape
    if pixels.dtype != np.uint8 or pixels.shape[1:] != shape[1:] or not len(pixels):
        raise DataError(f"{faces} holds {pixels.dtype}{pixels.shape}, the model takes uint8{shape}")
    scored, milliseconds = _timed(classifier, pixels)
    with atomic_path(answers) as temporary, temporary.open("wb") as file:
        np.save(file, scored)
    report = {
        "runtime": classifier.interpreter.backend.version,
        "median_ms": round(milliseconds, 4),
        "delegates": classifier.interpreter.delegates(),
    }
    print(json.dumps(report))


def _timed(classifier: Classifier, pixels: Image) -> tuple[Probabilities, float]:
    """Return the probabilities of all faces, and the median time of one in milliseconds."""
    answers, times = [], []
    for face in pixels:
        began = time.perf_counter_ns()
        answers.append(classifier.classify(face[None]))
        times.append(time.perf_counter_ns() - began)
    return np.stack(answers), float(np.median(times)) / 1e6


@dataclass(frozen=True)
class Scored:
    """What the device's classifier answered.

    Attributes:
        probabilities: float32[N,n].
        runtime: Name and version of the runtime.
        median_ms: Median time of one face on this machine, milliseconds.
        delegates: Pieces of the model that ran inside a delegate.
    """

    probabilities: Probabilities
    runtime: str
    median_ms: float
    delegates: int


def score_in_own_process(
    model: Path,
    pixels: Image,
    backend: str = "auto",
    *,
    labels: Path | None = None,
    input_range: tuple[float, float] | None = None,
) -> Scored:
    """Return what the device's classifier answers.

    Args:
        model: A model file.
        pixels: uint8[N,height,width,channels] made by `prepare`.
        backend: Runtime to use.
        labels: For a plain .tflite (see `Classifier`).
        input_range: Likewise.

    Raises `ModelError` with the child's own words if it fails, crashes included.
    """
    with tempfile.TemporaryDirectory(prefix="emo-score-") as folder:
        faces, answers = Path(folder, "faces.npz"), Path(folder, "answers.npy")
        np.savez(faces, pixels=pixels)
        files = (str(model), str(faces), str(answers))
        command = module_command("emo_edge.score", *files, "--backend", backend)
        command += [] if labels is None else ["--labels", str(labels)]
        command += [] if input_range is None else ["--input-range", *map(str, input_range)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise ModelError(
                f"the device's interpreter failed: {lines[-1].removeprefix('error: ')}"
            )
        return Scored(np.load(answers), **json.loads(done.stdout))


if __name__ == "__main__":
    app()

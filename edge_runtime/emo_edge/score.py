"""Score prepared faces with the device's own classifier, in a process of its own.

    python -m emo_edge.score MODEL.tflite FACES.npz ANSWERS.npy [--backend NAME]

The parity gate and the accuracy benchmark use it, because a process that has imported TensorFlow
may silently run TensorFlow's kernels in place of the device's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated
from zipfile import BadZipFile

import numpy as np
import typer

from emo_edge.artifacts import atomic_path
from emo_edge.commands import guarded, new_app
from emo_edge.contract import Image, Probabilities
from emo_edge.errors import DataError, ModelError

app = new_app("Score prepared faces (an .npz with `pixels`) with the device's own classifier.")


@app.command()
@guarded
def score(
    model: Path,
    faces: Path,
    answers: Path,
    backend: Annotated[str, typer.Option(help="Runtime to use.")] = "auto",
) -> None:
    """Write the probabilities float32[N,n] of `faces` to `answers`."""
    from emo_edge.classifier import Classifier

    classifier = Classifier(model, backend=backend)
    try:
        pixels = np.load(faces)["pixels"]
    except (OSError, ValueError, LookupError, EOFError, BadZipFile) as error:
        raise DataError(f"cannot read faces from {faces}: {error}") from error
    shape = classifier.spec.input_shape
    if pixels.dtype != np.uint8 or pixels.shape[1:] != shape[1:]:
        raise DataError(f"{faces} holds {pixels.dtype}{pixels.shape}, the model takes uint8{shape}")
    scored = np.stack([classifier.classify(face[None]) for face in pixels])
    with atomic_path(answers) as temporary, temporary.open("wb") as file:
        np.save(file, scored)


def score_in_own_process(model: Path, pixels: Image, backend: str = "auto") -> Probabilities:
    """Return the probabilities float32[N,n] that the device's classifier gives.

    Args:
        model: A model file with metadata.
        pixels: uint8[N,height,width,channels] made by `prepare`.
        backend: Runtime to use.

    Raises `ModelError` with the child's own words if it fails, crashes included.
    """
    with tempfile.TemporaryDirectory(prefix="emo-score-") as folder:
        faces, answers = Path(folder, "faces.npz"), Path(folder, "answers.npy")
        np.savez(faces, pixels=pixels)
        command = [sys.executable, "-m", "emo_edge.score"]
        command += [str(model), str(faces), str(answers), "--backend", backend]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise ModelError(
                f"the device's interpreter failed: {lines[-1].removeprefix('error: ')}"
            )
        return np.asarray(np.load(answers), dtype=np.float32)


if __name__ == "__main__":
    app()

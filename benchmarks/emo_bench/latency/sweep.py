"""Which points a sweep has, and the picture that its stages are timed on."""

from __future__ import annotations

from pathlib import Path

from emo_edge.artifacts import atomic_path
from emo_edge.backends import BACKENDS, find_backend
from emo_edge.errors import OutputError, UsageError

MOST_THREADS = 64
TENSORFLOW = "tensorflow"


def backend_names(text: str) -> list[str]:
    """Return the runtimes of "auto", "all" (that are installed), "device" (but TensorFlow), "a,b".

    Raises `UsageError` for one that is unknown or not installed.
    """
    if text in ("all", "device"):
        installed = [backend.name for backend in BACKENDS.values() if backend.installed]
        device = [name for name in installed if name != TENSORFLOW]
        return installed if text == "all" or not device else device
    return list(dict.fromkeys(find_backend(name.strip()).name for name in text.split(",")))


def thread_counts(text: str) -> list[int]:
    """Return the numbers of "1,2,4"; raises `UsageError` for anything else."""
    try:
        counts = [int(number) for number in text.split(",")]
    except ValueError:
        counts = [0]
    if not all(1 <= count <= MOST_THREADS for count in counts):
        raise UsageError(f"--threads takes numbers from 1 to {MOST_THREADS}, e.g. 1,2,4: {text}")
    return list(dict.fromkeys(counts))


def draw_picture(path: Path) -> Path:
    """Draw a 640 x 480 picture with one face, for whoever gave no --picture."""
    import cv2
    import numpy as np

    from emo_train.synthetic import draw_face, draw_identity

    scene = np.full((480, 640, 3), 170, np.uint8)
    person = draw_identity(np.random.default_rng(1))
    draw_face(scene, person, {"happy": 1.0}, (320.0, 240.0), 90.0)
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), scene):
            raise OutputError(f"cannot write {path}")
    return path

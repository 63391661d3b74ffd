"""Measure one peer in its own environment; needs numpy and OpenCV, which every peer brings.

    python measure.py start  OUT ADAPTER [ARGUMENT...] -- PICTURE
    python measure.py stream OUT ADAPTER [ARGUMENT...] -- VIDEO FRAMES
    python measure.py score  OUT ADAPTER [ARGUMENT...] -- FACES.npy
    python measure.py decode OUT -- VIDEO FRAMES

OUT is a JSON file (.npz beside it for the answers of `score`): packages print what they like to
stdout. CPU is the time of all threads of the process, so that a busy machine does not count.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WARM_UP_FRAMES = 10
WARM_UP_FACES = 20


def start(peer: Callable[[], Any], picture: str) -> dict[str, Any]:
    """Return what it takes from the start of the process to the reading of one picture."""
    import cv2

    made = peer()
    if hasattr(made, "first"):
        made.first(picture)
    else:
        image = cv2.imread(picture)
        made.watch(image) if hasattr(made, "watch") else made.classify(image)
    return {"monotonic": time.monotonic(), "cpu_seconds": time.process_time(), **memory()}


def stream(peer: Callable[[], Any], video: str, frames: str) -> dict[str, Any]:
    """Return the CPU time per frame of a video, decoding included, after a warm-up."""
    made = peer()
    count = int(frames)
    loop = made.stream(video, count) if hasattr(made, "stream") else watched(made, video, count)
    return _timed(loop)


def watched(made: Any, video: str, frames: int) -> Iterator[int]:
    """Yield how many faces a peer without a loop of its own reads in each frame."""
    for frame in decoded(video, frames):
        yield made.watch(frame)


def decode(video: str, frames: str) -> dict[str, Any]:
    """Return the CPU time per frame of decoding alone."""
    return _timed(0 for _ in decoded(video, int(frames)))


def decoded(video: str, frames: int) -> Iterator[Any]:
    """Yield up to `frames` frames."""
    import cv2

    capture = cv2.VideoCapture(video)
    for _ in range(frames):
        ok, frame = capture.read()
        if not ok:
            return
        yield frame


def _timed(loop: Iterator[int]) -> dict[str, Any]:
    with_face = sum(found > 0 for found in itertools.islice(loop, WARM_UP_FRAMES))
    began, faces = time.process_time(), list(loop)
    spent = time.process_time() - began
    return {
        "frames": WARM_UP_FRAMES + len(faces),
        "frames_with_face": with_face + sum(found > 0 for found in faces),
        "cpu_ms_per_frame": 1000 * spent / max(1, len(faces)),
        **memory(),
    }


def score(peer: Callable[[], Any], faces: str, out: Path) -> dict[str, Any]:
    """Classify every face, keep the answers beside `out`, return the CPU time per face."""
    import numpy as np

    made = peer()
    pixels = np.load(faces)
    pictures = [np.repeat(face.reshape(*face.shape[:2], 1), 3, axis=2) for face in pixels]
    for picture in pictures[:WARM_UP_FACES]:
        made.classify(picture)
    began = time.process_time()
    answers = np.array([made.classify(picture) for picture in pictures], np.float32)
    spent = time.process_time() - began
    np.savez(out.with_suffix(".npz"), probabilities=answers, labels=np.array(made.labels))
    return {"faces": len(pictures), "cpu_ms_per_face": 1000 * spent / len(pictures), **memory()}


def memory() -> dict[str, float]:
    """Return the resident memory now and at its highest, in MiB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return {
        "rss_mib": int(fields["VmRSS"].split()[0]) / 1024,
        "peak_rss_mib": int(fields["VmHWM"].split()[0]) / 1024,
    }


def main(words: list[str]) -> None:
    """Run one measurement."""
    what, out, *rest = words
    here = rest.index("--")
    adapter, subject = rest[:here], rest[here + 1 :]
    if what == "decode":
        result = decode(*subject)
    else:
        from adapters import ADAPTERS

        def peer() -> Any:
            return ADAPTERS[adapter[0]](*adapter[1:])

        if what == "start":
            result = start(peer, *subject)
        elif what == "stream":
            result = stream(peer, *subject)
        else:
            result = score(peer, *subject, Path(out))
    Path(out).write_text(json.dumps(result), encoding="utf-8")
    # Some packages hang or crash while Python ends; the result is written.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])

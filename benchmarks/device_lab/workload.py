"""What is counted: run by the guest's Python with the project's device install.

    python workload.py FRAMES_FOLDER BACKEND DETECTOR,... MODEL...

Prints {"spans": [...], "runtime": ...}: what was done between every two marks, in order. Frames are
read with the first model.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emo_edge.classifier import Classifier
from emo_edge.contract import prepare, read_image
from emo_edge.detectors import make_detector
from emo_edge.pipeline import Pipeline
from emo_edge.shipped import find_model
from emo_edge.sinks.records import as_record
from emo_edge.sources import Frame

MAGIC = 0x656D6F  # counter.c
FPS = 30.0  # the pictures are frames of a camera at this rate
CYCLE = 15  # frames between two searches of the whole picture


class Marks:
    """Asks the plugin to count, and remembers what for; does nothing while `off`."""

    def __init__(self) -> None:
        self.spans: list[str] = []
        self.off = False

    def around(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return `step` with a mark before and after it."""

        def marked(*args: Any) -> Any:
            if self.off:
                return step(*args)
            _mark()
            result = step(*args)
            _mark()
            self.spans.append(name)
            return result

        return marked


def _mark() -> None:
    with suppress(OSError):
        os.getpriority(MAGIC, 0)


def main(folder: str, backend: str, detectors: str, *models: str) -> None:
    """Run everything once, warm."""
    cv2.setNumThreads(1)  # idle threads spin: for how long is chance
    files = sorted(Path(folder).glob("*.jpg"))
    encoded = np.frombuffer(files[0].read_bytes(), np.uint8)
    images = [read_image(path) for path in files]
    classifiers = [Classifier(find_model(model), backend=backend) for model in models]
    marks = Marks()

    def third(name: str, step: Callable[..., Any], *args: Any) -> None:
        step(*args)
        step(*args)
        marks.around(name, step)(*args)

    for _ in range(3):
        marks.around("nothing", lambda: None)()
    for classifier in classifiers:
        third("invoke", classifier.classify, prepare(images[0], classifier.spec))
    third("jpeg", lambda: cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    for name in filter(None, detectors.split(",")):
        detect = make_detector(name)
        third(f"{name} search", detect, images[0])
        film(name, detect, classifiers[0], images, marks)
    runtime = classifiers[0].interpreter.backend.version
    print(json.dumps({"spans": marks.spans, "runtime": runtime}))


def film(
    name: str, detect: Callable[..., Any], classifier: Classifier, images: list[Any], marks: Marks
) -> None:
    """Read frames as the loop does, one cycle to warm up and one that counts.

    The parts are counted in a second run: marks within marks would count themselves.
    """
    for parts in (False, True):
        find = marks.around(f"{name} frame: detect", detect) if parts else detect
        invoke = marks.around(f"{name} frame: invoke", classifier.classify)

        def classify(image: Any, box: Any, invoke: Any = invoke) -> Any:
            return invoke(prepare(image, classifier.spec, box))

        pipeline = Pipeline(find, classify if parts else classifier, classifier.spec, "video")

        def step(frame: Frame, pipeline: Pipeline = pipeline) -> list[str]:
            found = pipeline(frame)
            return [json.dumps(as_record(frame, reading, live=False)) for reading in found]

        for index, image in enumerate(itertools.islice(itertools.cycle(images), 2 * CYCLE)):
            marks.off = index < CYCLE
            frame = Frame(image, index, index / FPS, time.monotonic(), "drawn")
            lines = (step if parts else marks.around(f"{name} frame", step))(frame)
            if not lines and index >= CYCLE:
                raise SystemExit(f"{name} lost the face in frame {index}")


if __name__ == "__main__":
    main(*sys.argv[1:])

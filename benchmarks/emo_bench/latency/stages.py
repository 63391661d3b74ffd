"""Where the time of one face goes, from a picture on disk to the sinks, in a process of its own.

    python -m emo_bench.latency.stages TASK

Every stage is the very function that the runtime calls, in the order of the loop.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from emo_bench.children import answer
from emo_bench.detector_names import real_name
from emo_bench.latency.run import classifier_options
from emo_bench.statistics import describe
from emo_edge.classifier import Classifier
from emo_edge.contract import Image, crop_face, prepare, probabilities, read_image
from emo_edge.detectors import Detector, make_detector
from emo_edge.errors import NoFaceError
from emo_edge.pipeline import Reading
from emo_edge.sinks import Sink
from emo_edge.sinks.console import Console
from emo_edge.sinks.jsonl import JsonLines
from emo_edge.sources import Frame
from emo_edge.tracking import Smoothing, Tracker

STAGES = ("decode", "detect", "crop", "prepare", "quantise", "invoke", "softmax", "smooth", "sinks")
LEAST_ROUNDS, MOST_ROUNDS = 20, 400
SECONDS = 2.0
FRAME_SECONDS = 1 / 30


class Round:
    """One frame's way through the runtime, stage by stage.

    Args:
        picture: A picture with at least one face.
        classifier: Whose parts are timed.
        detector: Of `make_detector`; searches the whole picture.
        log: Where the JSON lines go.
    """

    def __init__(self, picture: Path, classifier: Classifier, detector: Detector, log: Path):
        self._picture, self._classifier, self._detector = picture, classifier, detector
        self._sinks: list[Sink] = [
            Console("video", io.StringIO()),
            JsonLines(str(log), "video"),
        ]
        self._tracker = Tracker(Smoothing(), classifier.spec.threshold)
        self._frame = 0

    def __call__(self, timed: Callable[..., Any]) -> None:
        """Go the whole way; `timed(stage, step, *arguments)` returns what the step gives."""
        spec, interpreter = self._classifier.spec, self._classifier.interpreter
        at = self._frame * FRAME_SECONDS
        image: Image = timed("decode", read_image, self._picture)
        boxes = timed("detect", self._detector, image)
        if not boxes:
            raise NoFaceError(f"no face found in {self._picture}; give another --picture")
        crop = timed("crop", crop_face, image, boxes[0], spec.crop_margin)
        pixels = timed("prepare", prepare, crop, spec)
        timed("quantise", interpreter.feed, pixels)
        timed("invoke", interpreter.invoke)
        answer = timed("softmax", lambda: probabilities(interpreter.outputs(), spec))
        tracks = timed("smooth", self._tracker.update, boxes[:1], [answer], at)
        frame = Frame(image, self._frame, at, time.monotonic(), "stages")
        found = [
            Reading(
                track.number,
                track.box,
                spec.labels[track.label],
                float(track.probabilities[track.label]),
                dict(zip(spec.labels, map(float, track.probabilities), strict=True)),
                at,
                at,
            )
            for track in tracks
        ]
        timed("sinks", self._deliver, frame, found)
        self._frame += 1

    def _deliver(self, frame: Frame, found: list[Reading]) -> None:
        for sink in self._sinks:
            sink(frame, found)

    def close(self) -> None:
        """Close the sinks."""
        for sink in self._sinks:
            sink.close()


def _untimed(_: str, step: Callable[..., Any], *arguments: Any) -> Any:
    return step(*arguments)


def _measure(task: dict[str, Any]) -> dict[str, Any]:
    picture, detector = Path(task["picture"]), real_name(task["detector"])
    classifier = Classifier(Path(task["model"]), **classifier_options(task))
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}

    def timed(stage: str, step: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter_ns()
        result = step(*arguments)
        times[stage].append((time.perf_counter_ns() - began) / 1e6)
        return result

    with tempfile.TemporaryDirectory(prefix="emo-stages-") as folder:
        log = Path(folder, "readings.jsonl")
        one = Round(picture, classifier, make_detector(detector), log)
        try:
            for _ in range(LEAST_ROUNDS // 2):  # warm up, and let the track be confirmed
                one(_untimed)
            began = time.monotonic()
            for number in range(MOST_ROUNDS):
                if number >= LEAST_ROUNDS and time.monotonic() - began > SECONDS:
                    break
                one(timed)
        finally:
            one.close()
    height, width = read_image(picture).shape[:2]
    return {
        "size": [width, height],
        "detector": detector,
        "milliseconds": {stage: describe(np.array(times[stage])) for stage in STAGES},
    }


if __name__ == "__main__":
    answer(_measure)

"""The one loop: source -> pipeline -> sinks. It owns the clock and tells its health."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from emo_edge.detectors import Detector
from emo_edge.health import STAGES, Health
from emo_edge.pace import Pace
from emo_edge.pipeline import Classify, Pipeline, Reading
from emo_edge.sinks import Sink
from emo_edge.sources.frame import Frame, Source
from emo_edge.spec import ModelSpec

P = ParamSpec("P")
R = TypeVar("R")

REST_SECONDS = 0.25  # the longest sleep: how long a signal may wait


def run(
    source: Source,
    find: Detector,
    classify: Classify,
    spec: ModelSpec,
    sinks: Sequence[Sink],
    health: Health,
    beats: Sequence[Callable[[], object]] = (),
    *,
    pace: Pace | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Read `source` to its end, or until `stop` says so.

    Args:
        source: An open source.
        find: Finds faces.
        classify: Gives the probabilities of a face.
        spec: Labels and threshold of the model.
        sinks: Are given every frame and its readings, in this order.
        health: Is kept up to date.
        beats: Called after every frame, and about every second while no frame comes.
        pace: May be changed at any time.
        stop: Asked as often as `beats` are called.
    """
    pace, beats = pace or Pace(), (health.beat, *beats)
    stages = Stages()
    pipeline = Pipeline(
        stages.timed("detect", find), stages.timed("classify", classify), spec, source.kind,
        pace=pace,
    )  # fmt: skip
    deliver = stages.timed("sinks", _deliver)
    for frame in source.frames:
        began = time.monotonic()
        if frame is not None:
            found = pipeline(frame)
            age = time.monotonic() - frame.grabbed_at
            deliver(sinks, frame, found)
            with health.lock:
                health.loop.took(time.monotonic(), age, stages.take(), len(found))
        if _beat(beats, stop):
            return
        if frame is not None and _rest(began, pace, beats, stop):
            return


class Stages:
    """Seconds that a frame spent in each of `STAGES`."""

    def __init__(self) -> None:
        self._spent = dict.fromkeys(STAGES, 0.0)

    def timed(self, stage: str, step: Callable[P, R]) -> Callable[P, R]:
        """Return `step`, with the time it takes added to its stage."""

        def timed_step(*args: P.args, **kwargs: P.kwargs) -> R:
            began = time.perf_counter()
            try:
                return step(*args, **kwargs)
            finally:
                self._spent[stage] += time.perf_counter() - began

        return timed_step

    def take(self) -> list[float]:
        """Return the seconds of each stage since the last call."""
        spent = list(self._spent.values())
        self._spent.update(dict.fromkeys(STAGES, 0.0))
        return spent


def _deliver(sinks: Sequence[Sink], frame: Frame, found: Sequence[Reading]) -> None:
    for sink in sinks:
        sink(frame, found)


def _beat(beats: Sequence[Callable[[], object]], stop: Callable[[], bool]) -> bool:
    for beat in beats:
        beat()
    return stop()


def _rest(
    began: float, pace: Pace, beats: Sequence[Callable[[], object]], stop: Callable[[], bool]
) -> bool:
    """Sleep until the next frame may be taken; return whether to stop instead."""
    while pace.max_fps and (left := began + 1 / pace.max_fps - time.monotonic()) > 0:
        time.sleep(min(left, REST_SECONDS))
        if left > REST_SECONDS and _beat(beats, stop):
            return True
    return False

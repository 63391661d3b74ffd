"""The one loop: what it gives to sinks and beats, when it stops, how fast it goes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pytest

from emo_edge import ModelSpec, Reading, loop
from emo_edge.contract import Box, Image, Probabilities
from emo_edge.health import Health
from emo_edge.pace import Pace
from emo_edge.sources import Frame, Source

SPEC = ModelSpec(labels=("calm", "happy"), height=48, width=48)
BLANK = np.zeros((80, 80, 3), np.uint8)


class Sink:
    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        self.taken.append((frame.index, len(readings)))

    def close(self) -> None:
        pass


def source(frames: Iterator[Frame | None], kind: Literal["live", "video"] = "video") -> Source:
    return Source("test", kind, 10.0, frames)


def frames(count: int | None = None, fps: float = 10.0) -> Iterator[Frame]:
    for index in itertools.count() if count is None else range(count):
        yield Frame(BLANK, index, index / fps, time.monotonic(), "test")


def one_face(image: Image) -> list[Box]:
    return [Box(10, 10, 40, 40)] if image.shape == BLANK.shape else [Box(20, 20, 60, 60)]


def happy(image: Image, box: Box) -> Probabilities:
    return np.array([0.1, 0.9], np.float32)


def test_every_sink_is_given_every_frame_and_the_health_knows() -> None:
    first, second, health, beats = Sink(), Sink(), Health(), []
    loop.run(
        source(frames(5)), one_face, happy, SPEC, [first, second], health, [lambda: beats.append(1)]
    )
    assert first.taken == second.taken == [(0, 0), (1, 1), (2, 1), (3, 1), (4, 1)]
    assert len(beats) == 5
    seen = health.snapshot()["loop"]
    assert (seen["frames"], seen["readings"], seen["faces"]) == (5, 4, 1)
    assert all(milliseconds > 0 for milliseconds in seen["stages_ms"].values())
    assert 0 < seen["age_ms"]["p50"] <= seen["age_ms"]["p99"]


def test_it_beats_while_no_frame_comes_and_gives_the_sinks_nothing() -> None:
    sink, beats = Sink(), []
    away: list[Frame | None] = [None, None, *frames(1), None]
    loop.run(
        source(iter(away), "live"), one_face, happy, SPEC, [sink], Health(),
        [lambda: beats.append(1)],
    )  # fmt: skip
    assert (len(beats), sink.taken) == (4, [(0, 0)])


@pytest.mark.parametrize("coming", [frames(), itertools.repeat(None)], ids=["frames", "nothing"])
def test_it_stops_when_told_to(coming: Iterator[Frame | None]) -> None:
    asked = itertools.count(1)
    loop.run(
        source(coming, "live"), one_face, happy, SPEC, [Sink()], Health(),
        stop=lambda: next(asked) == 3,
    )  # fmt: skip
    assert next(asked) == 4


def test_no_more_frames_than_allowed_are_analysed_and_it_beats_and_stops_between_them() -> None:
    sink, beats = Sink(), []
    loop.run(
        source(frames(), "live"), one_face, happy, SPEC, [sink], Health(),
        [lambda: beats.append(1)], pace=Pace(max_fps=0.5), stop=lambda: len(beats) == 3,
    )  # fmt: skip
    assert (len(sink.taken), len(beats)) == (1, 3)


def test_the_pace_may_change_while_it_runs() -> None:
    pace, sink = Pace(), Sink()

    def slow_down() -> None:
        if len(sink.taken) == 20:
            pace.max_fps = 0.01

    loop.run(
        source(frames(), "live"), one_face, happy, SPEC, [sink], Health(), [slow_down], pace=pace,
        stop=iter([False] * 22 + [True]).__next__,
    )  # fmt: skip
    assert len(sink.taken) == 20


def test_a_stretched_pace_searches_whole_pictures_less_often() -> None:
    def searches(stretch: float) -> int:
        whole = []

        def find(image: Image) -> list[Box]:
            whole.append(image.shape == BLANK.shape)
            return one_face(image)

        pace = Pace(search_stretch=stretch)
        loop.run(source(frames(100)), find, happy, SPEC, [], Health(), pace=pace)
        return sum(whole)

    assert searches(1.0) >= 2 * searches(4.0) > 0


def test_the_age_counts_from_the_capture() -> None:
    def late() -> Iterator[Frame]:
        for frame in frames(3):
            time.sleep(0.05)
            yield frame.__class__(BLANK, frame.index, 0.0, frame.grabbed_at, "test")

    health = Health()
    loop.run(source(late()), one_face, happy, SPEC, [], health)
    assert health.snapshot()["loop"]["age_ms"]["p50"] >= 50


def test_the_health_knows_that_it_turns_without_a_frame() -> None:
    health, waited = Health(), []

    def silent() -> Iterator[None]:
        for _ in range(2):
            time.sleep(0.05)
            waited.append(health.snapshot()["seconds_since_beat"])
            yield None
            waited.append(health.snapshot()["seconds_since_beat"])

    loop.run(source(silent(), "live"), one_face, happy, SPEC, [], health)
    assert waited[1] < waited[0] and waited[3] < waited[2]


def test_a_bug_in_a_sink_is_not_swallowed() -> None:
    sink = Sink()
    sink.taken = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        loop.run(source(frames()), one_face, happy, SPEC, [sink], Health())

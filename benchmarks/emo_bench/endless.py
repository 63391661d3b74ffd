"""A source that lasts as long as one wants: a video begins anew at its end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager

from emo_bench.meters import StageClock
from emo_edge.errors import UsageError
from emo_edge.health import Health
from emo_edge.sources import Frame, Source, open_source

PRELOADED_FRAMES = 64


@contextmanager
def open_endless(
    text: str, health: Health, clock: StageClock, stop: Callable[[], bool], *, preload: bool
) -> Iterator[Source]:
    """Open a camera or stream as it is, or a video that never ends.

    Args:
        text: As for `emo-edge --source`.
        health: Is told how the source fares.
        clock: Counts the stage "decode" of a video; a camera decodes in a thread of its own.
        stop: Ends the preloading early.
        preload: Keep the first frames of a video in memory and repeat those: nothing is decoded.

    Raises:
        UsageError: it is neither, or a camera to be preloaded.
    """
    with open_source(text, health) as source:
        if source.kind == "stills":
            raise UsageError(f"{text} is no camera or video")
        if source.kind == "live":
            if preload:
                raise UsageError("--preload is for videos")
            yield source
            return
    repeated = _from_memory(text, stop) if preload else _from_file(text)
    with closing(repeated) as frames:
        decoded = _decoding(_renumbered(frames, source.fps), clock)
        yield dataclasses.replace(source, frames=decoded)


def _from_file(text: str) -> Generator[Frame]:
    while True:
        yield from _once(text)


def _from_memory(text: str, stop: Callable[[], bool]) -> Generator[Frame]:
    kept: list[Frame] = []
    with closing(_once(text)) as frames:
        for frame in frames:
            kept.append(frame)
            if len(kept) == PRELOADED_FRAMES or stop():
                break
    while True:
        yield from kept


def _once(text: str) -> Generator[Frame]:
    """Yield the frames of a video; one without any is refused by the source itself."""
    with open_source(text) as source:
        for frame in source.frames:
            assert frame is not None  # only live sources pause
            yield frame


def _decoding(frames: Iterator[Frame], clock: StageClock) -> Iterator[Frame]:
    while True:
        with clock.stage("decode"):
            frame = next(frames)
        yield frame


def _renumbered(frames: Iterator[Frame], fps: float) -> Iterator[Frame]:
    """Give repeated frames one clock and one count that never go back."""
    for index, frame in enumerate(frames):
        yield dataclasses.replace(
            frame, index=index, captured_at=index / fps, grabbed_at=time.monotonic()
        )

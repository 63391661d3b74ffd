"""A source that lasts as long as one wants: a video begins anew at its end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

from emo_bench.meters import StageClock
from emo_edge.errors import UsageError
from emo_edge.health import Health
from emo_edge.sources import Frame, Source, open_source

PRELOADED_FRAMES = 64


@contextmanager
def open_endless(
    text: str, health: Health, clock: StageClock, *, preload: bool
) -> Iterator[Source]:
    """Open a camera or stream as it is, or a video that never ends.

    Args:
        text: As for `emo-edge --source`.
        health: Is told how the source fares.
        clock: Counts the stage "decode" of a video; a camera decodes in a thread of its own.
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
    with closing(_repeated(text, preload)) as frames:
        decoded = _decoding(_renumbered(frames, source.fps), clock)
        yield dataclasses.replace(source, frames=decoded)


def _repeated(text: str, preload: bool) -> Generator[Frame]:
    kept: list[Frame] = []
    while True:
        with open_source(text) as source:
            for frame in source.frames:
                assert frame is not None  # only live sources pause
                if not preload:
                    yield frame
                elif len(kept) < PRELOADED_FRAMES:
                    kept.append(frame)
        while kept:
            yield from kept


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

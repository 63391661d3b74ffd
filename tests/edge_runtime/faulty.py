"""A camera that fails as told, plugged in at the lowest door of a live source."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from edge_runtime.streaming import numbered
from emo_edge.errors import SourceError
from emo_edge.sources.capture import Picture
from emo_edge.sources.settings import Patience

# A step of a camera's life: a picture, None for a read in vain, an exception, or something to do.
Step = Picture | None | Exception | Callable[[], None]
Life = Iterator[Step]

PERIOD = 0.005
QUICK = Patience(
    opening=5.0, silence=0.4, frozen=0.15, steady=30.0, first_pause=0.02, longest_pause=0.1,
    stuck=0.3,
)  # fmt: skip


class Faulty:
    """Lives one life after the other, each from being opened to being lost, then none."""

    def __init__(self, *lives: Life | SourceError, noisy: bool = True, fps: float = 30.0) -> None:
        self.name, self.noisy, self.fps = "test camera", noisy, fps
        self._lives = iter(lives)
        self.opened = self.closed = 0
        self.threads: set[int] = set()
        self.hinted = 0

    def open(self) -> Faulty._Capture:
        self.opened += 1
        life = next(self._lives, None)
        if life is None:
            raise SourceError("it is gone for good")
        if isinstance(life, SourceError):
            raise life
        return Faulty._Capture(self, life)

    def hint(self) -> object:
        return self.hinted

    class _Capture:
        def __init__(self, camera: Faulty, life: Life) -> None:
            self.title, self.noisy, self.fps = "320x240", camera.noisy, camera.fps
            self._camera, self._life = camera, life
            self._thread = threading.get_ident()

        def read(self) -> tuple[Picture, float] | None:
            assert threading.get_ident() == self._thread
            time.sleep(PERIOD)
            step = next(self._life)
            if callable(step):
                step()
                return None
            if isinstance(step, Exception):
                raise step
            return None if step is None else (step, time.monotonic())

        def close(self) -> None:
            assert threading.get_ident() == self._thread
            self._camera.closed += 1


def pictures(start: int = 0, count: int | None = None) -> Iterator[Picture]:
    """Numbered pictures that are all different."""
    numbers = itertools.count(start) if count is None else range(start, start + count)
    return (numbered(number) for number in numbers)


def silence() -> Iterator[None]:
    return itertools.repeat(None)


def black(count: int | None = None) -> Iterator[Picture]:
    picture = np.zeros((48, 64, 3), np.uint8)
    return itertools.repeat(picture) if count is None else itertools.repeat(picture, count)

"""Instruments that a run of any length can carry: their own memory does not grow."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

WARM_UP_SHARE = 0.1  # of the samples: caches fill, the allocator finds its size
BLOCKS = 20
T_18 = 2.101  # two-sided 95 % quantile of Student's t with BLOCKS - 2 degrees of freedom


class StageClock:
    """CPU seconds of the whole process, by stage.

    What other threads do while a stage runs (OpenCV's pool, but also a decoder that reads ahead) is
    counted in it, so that all stages together are the CPU time of the process.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the body."""
        began = time.process_time()
        try:
            yield
        finally:
            spent = time.process_time() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            self.calls[name] = self.calls.get(name, 0) + 1

    def timed(self, name: str, step: Callable[P, R]) -> Callable[P, R]:
        """Return `step`, counted."""

        def timed_step(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.stage(name):
                return step(*args, **kwargs)

        return timed_step


class Histogram:
    """Values above 0 in bins 1 % apart, from a microsecond to a day if they are milliseconds."""

    LOWEST, HIGHEST, STEP = 1e-3, 1e8, math.log(1.01)

    def __init__(self) -> None:
        self._counts = np.zeros(
            math.ceil(math.log(self.HIGHEST / self.LOWEST) / self.STEP) + 1, int
        )

    def add(self, value: float) -> None:
        """Count one value."""
        clipped = min(max(value, self.LOWEST), self.HIGHEST)
        self._counts[round(math.log(clipped / self.LOWEST) / self.STEP)] += 1

    def percentile(self, percent: float) -> float | None:
        """Return the value below which `percent` % lie, right to 1 %; None if there are none."""
        total = int(self._counts.sum())
        if not total:
            return None
        place = int(np.searchsorted(np.cumsum(self._counts), max(1, total * percent / 100)))
        return float(self.LOWEST * math.exp(place * self.STEP))


@dataclass(frozen=True)
class Slope:
    """A straight line's slope and its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return the three, rounded."""
        return {name: round(value, 4) for name, value in vars(self).items()}


class VitalSigns:
    """What the process holds over time: resident memory, open descriptors, threads (Linux).

    Args:
        interval: Seconds between two samples at first. When `MOST` samples are there, every other
            one is dropped and the interval doubled.
    """

    MOST = 2000
    NAMES = ("seconds", "frames", "rss_mib", "descriptors", "threads")

    def __init__(self, interval: float = 0.25) -> None:
        self._interval = interval
        self._rows = np.zeros((self.MOST, len(self.NAMES)))
        self._used = 0
        self._began = time.monotonic()
        self._next = 0.0

    def look(self, frames: int) -> None:
        """Take a sample if one is due."""
        seconds = time.monotonic() - self._began
        if seconds < self._next:
            return
        if self._used == self.MOST:
            self._rows[: self.MOST // 2] = self._rows[::2]
            self._used //= 2
            self._interval *= 2
        self._rows[self._used] = (seconds, frames, *_process())
        self._used += 1
        self._next = seconds + self._interval

    def table(self) -> dict[str, list[float]]:
        """Return a list for each of `NAMES`."""
        columns = self._rows[: self._used].T
        return {n: np.round(c, 3).tolist() for n, c in zip(self.NAMES, columns, strict=True)}

    def settled(self) -> NDArray[np.float64]:
        """Return the samples after the warm-up: float64[N,5] in the order of `NAMES`."""
        return np.asarray(self._rows[int(self._used * WARM_UP_SHARE) : self._used])

    def first_and_last(self, name: str) -> list[int]:
        """Return the medians of the first and the last tenth of the settled samples.

        Visitors of a page come and go: a single sample tells who is there, not what is kept.
        """
        column = self.settled()[:, self.NAMES.index(name)]
        tenth = max(1, len(column) // 10)
        return [round(float(np.median(part))) for part in (column[:tenth], column[-tenth:])]

    def memory_slope(self, per: str) -> Slope | None:
        """Return how fast the memory grows, in MiB per one of "seconds" or "frames".

        None with fewer than two samples a block. See `slope`.
        """
        rows = self.settled()
        if len(rows) < 2 * BLOCKS:
            return None
        return slope(rows[:, self.NAMES.index(per)], rows[:, self.NAMES.index("rss_mib")])


def slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> Slope:
    """Return the least-squares slope of the means of `BLOCKS` blocks of the samples, in order.

    Memory changes in steps that last, so neighbouring samples tell the same thing twice; the
    interval is therefore that of the blocks' means (method of batch means), not of the samples.
    """
    mean_x, mean_y = (
        np.array([part.mean() for part in np.array_split(values, BLOCKS)]) for values in (x, y)
    )
    across = mean_x - mean_x.mean()
    spread = float(across @ across)
    value = float(across @ mean_y) / spread
    left = mean_y - mean_y.mean() - value * across
    half = T_18 * math.sqrt(float(left @ left) / (BLOCKS - 2) / spread)
    return Slope(value, value - half, value + half)


def _process() -> tuple[float, int, int]:
    """Return resident MiB, descriptors and threads of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    count: Any = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 (and less the one just opened)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, count, len(os.listdir("/proc/self/task"))  # noqa: PTH208

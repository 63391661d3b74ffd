"""The one thing that the loop does for the page: it puts down the newest frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from emo_edge.pipeline import Reading
from emo_edge.sources.frame import Frame


@dataclass(frozen=True)
class Moment:
    """A frame with its readings.

    Attributes:
        number: Counts the frames that the page was given, from 1.
        frame: The frame; nobody changes its pixels.
        readings: Of its faces.
        at: `time.monotonic` seconds at which the page was given it.
    """

    number: int
    frame: Frame
    readings: Sequence[Reading]
    at: float

    @property
    def age(self) -> float:
        """Seconds since the frame was captured."""
        return time.monotonic() - self.frame.grabbed_at


class Latest:
    """A slot for the newest moment: whoever is slower than the loop misses some."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._moment: Moment | None = None
        self._since = time.monotonic()
        self._closed = False

    @property
    def number(self) -> int:
        """The number of the newest moment, 0 before the first."""
        moment = self._moment
        return 0 if moment is None else moment.number

    @property
    def moment(self) -> Moment | None:
        """The newest moment."""
        return self._moment

    @property
    def idle_seconds(self) -> float:
        """Seconds since the newest moment came; before the first, since the page was opened."""
        moment = self._moment
        return time.monotonic() - (self._since if moment is None else moment.at)

    def put(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Replace the moment."""
        with self._changed:
            self._moment = Moment(self.number + 1, frame, readings, time.monotonic())
            self._changed.notify_all()

    def after(self, number: int, timeout: float) -> Moment | None:
        """Return the newest moment as soon as it is later than `number`; None if none came."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.number > number, timeout)
            return self._moment if self.number > number else None

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

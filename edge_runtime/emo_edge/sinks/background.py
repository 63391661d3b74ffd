"""A sink in a thread of its own: encoding, slow disks and absent ones do not hold the loop up."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from emo_edge.pipeline import Reading
    from emo_edge.sinks.isolation import Isolated
    from emo_edge.sources.frame import Frame

NOTHING = np.zeros((0, 0, 3), np.uint8)


class Background:
    """Hands frames to a sink in a thread; where it cannot keep up, the oldest one is dropped.

    Args:
        sink: The sink; what it raises (a bug) is raised by the next call.
        waiting: Frames that may wait. With 1 the newest one replaces it, and nothing is lost that a
            sink of the newest frame would show.
        pictures: Whether the sink looks at them; otherwise frames wait without theirs.
    """

    def __init__(self, sink: Isolated, waiting: int, *, pictures: bool = True) -> None:
        self._sink, self._depth, self._pictures = sink, waiting, pictures
        self._waiting: deque[tuple[Frame, Sequence[Reading]]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._bug: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Leave one frame for the thread."""
        if not self._pictures:
            frame = replace(frame, image=NOTHING)
        with self._changed:
            if self._bug is not None:
                raise self._bug
            if len(self._waiting) == self._depth:
                self._waiting.popleft()
                if self._depth > 1:
                    self._sink.drop()
            self._waiting.append((frame, readings))
            self._changed.notify()

    def close(self) -> None:
        """Let the thread finish what waits, then close the sink."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._sink.close()
        if self._bug is not None:
            raise self._bug

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._closing)
                    if not self._waiting:
                        return
                    frame, readings = self._waiting.popleft()
                self._sink(frame, readings)
        except BaseException as error:
            with self._changed:
                self._bug = error
                self._waiting.clear()

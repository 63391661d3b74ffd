"""JPEGs of the newest frame: made while somebody asks for them, once for all who do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from emo_edge.annotate import annotate
from emo_edge.contract import Box, Image, scaled_size
from emo_edge.sinks.page.latest import Latest, Moment

PICTURES_PER_SECOND = 15.0
LONG_SIDE = 960  # a page is no wider; what is larger costs the board and the link
QUALITY = 80

Draw = Callable[[Moment], Image]


@dataclass(frozen=True)
class Picture:
    """A JPEG and the moment that it shows."""

    jpeg: bytes
    moment: Moment


class Pictures:
    """Encodes in a thread of its own, so that neither the loop nor a viewer waits for another.

    Args:
        latest: Where the newest moment is.
        draw: Gives the pixels of a moment, uint8[H,W,3] BGR; must leave the frame's alone.
        name: Of the thread.
    """

    def __init__(self, latest: Latest, draw: Draw, name: str) -> None:
        self._latest, self._draw = latest, draw
        self._changed = threading.Condition()
        self._waiting = 0
        self._newest: Picture | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def after(self, number: int, timeout: float) -> Picture | None:
        """Return a picture of a moment later than `number`, and no older than the newest one now.

        None if none came in time.
        """
        newest = self._latest.number
        # A number that never was belongs to an earlier run: that viewer, too, wants the newest.
        number = newest - 1 if number > newest else max(number, newest - 1)
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: self._closed or self._number > number, timeout)
            finally:
                self._waiting -= 1
            return self._newest if self._number > number else None

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def _number(self) -> int:
        return 0 if self._newest is None else self._newest.moment.number

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
            began = time.monotonic()
            moment = self._latest.after(self._number, timeout=1.0)
            if moment is None:
                continue
            picture = Picture(_jpeg(self._draw(moment)), moment)
            with self._changed:
                self._newest = picture
                self._changed.notify_all()
                rest = began + 1 / PICTURES_PER_SECOND - time.monotonic()
                self._changed.wait_for(lambda: self._closed, max(0.0, rest))


def plain(moment: Moment) -> Image:
    """Return the pixels of a moment, no larger than `LONG_SIDE`."""
    image = moment.frame.image
    scale = LONG_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    small = cv2.resize(image, scaled_size(image, scale), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def annotated(moment: Moment) -> Image:
    """Return the same with the readings drawn on it."""
    image = plain(moment)
    down, across = (image.shape[i] / moment.frame.image.shape[i] for i in (0, 1))
    return annotate(image, [
        replace(reading, box=_scaled(reading.box, across, down)) for reading in moment.readings
    ])  # fmt: skip


def _scaled(box: Box, across: float, down: float) -> Box:
    return Box(box.x * across, box.y * down, box.w * across, box.h * down, box.score)


def _jpeg(image: Image) -> bytes:
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return np.asarray(encoded).tobytes()

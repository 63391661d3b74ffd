"""The lowest door of a live source: a camera that can be opened again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from emo_edge.contract import Image
from emo_edge.errors import SourceError

Picture = bytes | Image  # a JPEG picture, decoded only if someone wants it, or uint8[H,W,3] BGR

# A lost device answers at once, again and again; a slow one answers after a timeout.
AT_ONCE_SECONDS = 0.5
ANSWERS_AT_ONCE = 3
# Transport streams report their clock (90000) in place of a frame rate, some drivers 0/0.
HIGHEST_FPS = 1000.0


class Capture(Protocol):
    """An open camera; one thread opens, reads and closes it.

    Attributes:
        title: What the driver really gives, for people.
        fps: Nominal frames per second; 0 if nobody knows.
        noisy: Whether pictures come straight from a sensor, whose noise makes no two alike.
    """

    title: str
    fps: float
    noisy: bool

    def read(self) -> tuple[Picture, float] | None:
        """Return the next picture and the `time.monotonic` seconds of its capture.

        Returns None if none came for about 2 s; raises `SourceError` if none will come.
        """

    def close(self) -> None:
        """Let the device go."""


class Camera(Protocol):
    """A camera, open or not.

    Attributes:
        name: What the user asked for, without credentials.
    """

    name: str

    def open(self) -> Capture:
        """Open it, wherever it is now; raises `SourceError` if it cannot be opened."""

    def hint(self) -> object:
        """Return something cheap that changes when opening it again may help."""


def nominal_fps(capture: cv2.VideoCapture) -> float:
    """Return the frames per second that OpenCV reports; 0 if that is no rate."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if 0 < fps <= HIGHEST_FPS else 0.0


class OpenCvCapture:
    """A `cv2.VideoCapture` as a `Capture`.

    Args:
        capture: Open; is released by `close`.
        title: For people.
        noisy: See `Capture`.
        unpack: Turns what OpenCV gives into a picture.
    """

    def __init__(
        self,
        capture: cv2.VideoCapture,
        title: str,
        *,
        noisy: bool,
        unpack: Callable[[Image], Picture] = lambda image: image,
    ) -> None:
        self.title, self.noisy = title, noisy
        self.fps = nominal_fps(capture)
        self._capture, self._unpack = capture, unpack
        self._failures = 0

    def read(self) -> tuple[Picture, float] | None:
        """Return the next picture and its time; see `Capture`."""
        began = time.monotonic()
        try:
            ok, image = self._capture.read()
        except cv2.error as error:  # a USB transfer error raises
            raise SourceError(f"reading failed ({error.err})") from error
        now = time.monotonic()
        if ok:
            self._failures = 0
            return self._unpack(np.asarray(image, np.uint8)), self._captured_at(now)
        if now - began < AT_ONCE_SECONDS:
            self._failures += 1
            if self._failures == ANSWERS_AT_ONCE:
                raise SourceError("it stopped delivering frames")
            time.sleep(0.05)
        return None

    def close(self) -> None:
        """Release the device."""
        self._capture.release()

    def _captured_at(self, now: float) -> float:
        return now

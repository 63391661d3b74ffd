"""One attempt at a camera: a thread that opens it, keeps the newest picture and closes it."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np

from emo_edge.errors import SourceError
from emo_edge.sources.capture import Camera, Capture, Picture
from emo_edge.sources.jpeg import is_whole

SLOW_SECONDS = 10.0  # over which the rate of frames is taken
# Of a decoded picture every so many rows are compared: noise is everywhere.
COMPARED_ROWS = 16


class Attempt:
    """Opens `camera` in a thread of its own, which may block as long as it likes.

    Whoever holds `changed` may read the attributes. The thread owns the device from opening to
    closing: releasing it during a read would crash.

    Attributes:
        capture: What was opened; None before.
        ended: Whether the thread let the device go.
        failure: Why it ended by itself.
        bug: An exception that is none of a camera's, for the loop's thread to raise.
        arrived: Pictures that arrived whole.
        arrived_at: `time.monotonic` seconds of the newest of them; of the beginning before.
        broken: Pictures that arrived damaged.
        rate: Pictures a second over the last `SLOW_SECONDS`; None until then.
        still: The picture (or a sample of it), while it has been the same for suspiciously long.
    """

    def __init__(
        self, camera: Camera, changed: threading.Condition, frozen: float, known_still: bytes | None
    ) -> None:
        self._camera, self._changed = camera, changed
        self._frozen_after, self._known_still = frozen, known_still
        self.capture: Capture | None = None
        self.ended, self.failure = False, ""
        self.bug: BaseException | None = None
        self.arrived = self.broken = 0
        self.arrived_at = time.monotonic()
        self.rate: float | None = None
        self.still: bytes | None = None
        self._newest: tuple[int, Picture, float] | None = None
        self._ends = False  # whether this camera's pictures carry JPEG's end marker
        self._sample, self._same_since = b"", 0.0
        self._window = (0.0, 0)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    @property
    def has_news(self) -> bool:
        """Whether `take` or the end has something to say."""
        return self._newest is not None or self.ended

    def take(self) -> tuple[int, Picture, float] | None:
        """Return and clear the newest (number from 0, picture, monotonic seconds of capture)."""
        taken, self._newest = self._newest, None
        return taken

    def stop(self) -> None:
        """Ask the thread to close the device and end."""
        self._stopping = True

    def join(self, seconds: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            capture = self._camera.open()
            try:
                with self._changed:
                    self.capture = capture
                while not self._stopping:
                    self._read(capture)
            finally:
                capture.close()
        except SourceError as error:
            self.failure = str(error)
        except cv2.error as error:
            self.failure = f"OpenCV failed ({error.err})"
        except OSError as error:
            self.failure = error.strerror or str(error)
        except BaseException as error:  # raised again by the loop's thread
            self.bug = error
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _read(self, capture: Capture) -> None:
        got = capture.read()
        if got is None:
            return
        picture, at = got
        whole = self._whole(picture)
        now = time.monotonic()
        with self._changed:
            if not whole:
                self.broken += 1
                return
            self._newest = (self.arrived, picture, at)
            self.arrived, self.arrived_at = self.arrived + 1, now
            self._measure(now)
            self._changed.notify_all()
        if capture.noisy:
            self._compare(picture, now)

    def _whole(self, picture: Picture) -> bool:
        if not isinstance(picture, bytes):
            return picture.ndim == 3 and picture.shape[2] == 3 and picture.size > 0
        if not self._ends:
            self._ends = is_whole(picture, ends=True)
        return is_whole(picture, ends=self._ends)

    def _measure(self, now: float) -> None:
        if self.arrived == 1:  # what came before was opening
            self._window = (now, 1)
        since, before = self._window
        if now - since >= SLOW_SECONDS:
            self.rate = (self.arrived - before) / (now - since)
            self._window = (now, self.arrived)

    def _compare(self, picture: Picture, now: float) -> None:
        if isinstance(picture, bytes):
            sample = picture
        else:
            sample = np.ascontiguousarray(picture[::COMPARED_ROWS]).tobytes()
        if sample != self._sample:
            self._sample, self._same_since, self.still = sample, now, None
        elif now - self._same_since >= self._frozen_after and self.still is None:
            self.still = sample
            if sample != self._known_still:
                raise SourceError(f"the same picture for {self._frozen_after:g} s")

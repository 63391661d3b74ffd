"""Cameras and streams, captured in a thread of their own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from emo_edge.contract import Image
from emo_edge.errors import SourceError
from emo_edge.sources.frame import Frame, Source

CAMERA_SIZE = (640, 480)
FIRST_FRAME_SECONDS = 10.0
STALL_SECONDS = 5.0


def cameras() -> list[Path]:
    """Return the V4L2 device nodes of this machine."""
    return sorted(Path("/dev").glob("video*"))


def _as_bgr(image: object) -> Image:
    return np.asarray(image, dtype=np.uint8)


def open_stream(url: str) -> cv2.VideoCapture:
    """Open a stream by its URL."""
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise SourceError(f"{url}: stream cannot be opened")
    return capture


def open_camera(text: str) -> cv2.VideoCapture:
    """Open a camera by index or device node."""
    node = Path(f"/dev/video{text}" if text.isdigit() else text)
    if not node.exists():
        there = ", ".join(map(str, cameras())) or "none"
        raise SourceError(f"no camera {node}; cameras here: {there}. Is it plugged in?")
    if not os.access(node, os.R_OK | os.W_OK):
        raise SourceError(
            f"no permission for {node}; run: sudo usermod -aG video $USER, then log in again"
        )
    # A stalled camera then blocks read() for 2 s instead of 10.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
    capture = cv2.VideoCapture(str(node), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise SourceError(f"{node} cannot be opened: is it a capture device, and is it free?")
    # MJPG is what USB webcams deliver at full rate; the driver answers with what it can do.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, CAMERA_SIZE[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, CAMERA_SIZE[1])
    return capture


class _NewestFrame:
    """A single slot between the capturing thread and the loop: slow consumers skip, never lag."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._changed = threading.Condition()
        self._newest: tuple[int, Image, float] | None = None
        self._failure = ""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def take(self, timeout: float) -> tuple[int, Image, float]:
        """Return and clear the newest (index, image, monotonic seconds); raises `SourceError`."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._failure, timeout)
            if self._newest is None:
                raise SourceError(self._failure or f"no frame for {timeout:.0f} s")
            taken, self._newest = self._newest, None
            return taken

    def stop(self) -> None:
        """End the thread, which releases the camera: releasing it during a read would crash."""
        self._stopping = True
        self._thread.join(timeout=STALL_SECONDS)

    def _run(self) -> None:
        try:
            self._fill()
        finally:
            self._capture.release()

    def _fill(self) -> None:
        index = 0
        while not self._stopping:
            try:
                ok, image = self._capture.read()
                failure = "" if ok else "it stopped delivering frames"
            except cv2.error as error:  # a USB transfer error raises
                ok, image, failure = False, None, f"reading failed ({error.err})"
            with self._changed:
                if ok:
                    self._newest = (index, _as_bgr(image), time.monotonic())
                self._failure = failure
                self._changed.notify()
            if not ok:
                return
            index += 1


@contextmanager
def live(text: str, capture: cv2.VideoCapture) -> Iterator[Source]:
    """Capture in a thread for as long as the context lasts."""
    fps = capture.get(cv2.CAP_PROP_FPS) or 30.0
    slot = _NewestFrame(capture)
    try:
        yield Source(text, "live", fps, _newest_frames(slot, text))
    finally:
        slot.stop()


def _newest_frames(slot: _NewestFrame, name: str) -> Iterator[Frame]:
    timeout = FIRST_FRAME_SECONDS
    while True:
        index, image, at = slot.take(timeout)
        timeout = STALL_SECONDS
        yield Frame(image, index, at, at, name)

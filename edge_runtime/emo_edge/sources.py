"""The camera socket: everything that yields frames, opened by one text."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from emo_edge.contract import Image, read_image
from emo_edge.errors import DataError, SourceError
from emo_edge.messages import warn

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})

CAMERA_SIZE = (640, 480)
FIRST_FRAME_SECONDS = 10.0
STALL_SECONDS = 5.0


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        image: uint8[H,W,3] BGR.
        index: Number of the frame in its source, from 0; a live source skips some.
        captured_at: Seconds on the source's clock: `time.monotonic` for a live source, the position
            in the recording for a video, the index for pictures.
        grabbed_at: `time.monotonic` seconds at which this process got the frame.
        name: File name of a picture, else the name of the source.
    """

    image: Image
    index: int
    captured_at: float
    grabbed_at: float
    name: str


@dataclass(frozen=True)
class Source:
    """An open source.

    Attributes:
        name: What the user asked for.
        kind: "live" (newest frame, older ones skipped), "video" (every frame, in order) or
            "stills" (pictures that have nothing to do with each other).
        fps: Nominal frames per second (1 for pictures).
        frames: The frames; raises `SourceError` if a live source stops delivering.
    """

    name: str
    kind: Literal["live", "video", "stills"]
    fps: float
    frames: Iterator[Frame]


@contextmanager
def open_source(text: str) -> Iterator[Source]:
    """Open a camera index ("0"), /dev/videoN, picture, folder, video file or stream URL.

    Raises `SourceError`, saying what is there instead where that helps.
    """
    if not text.strip():  # an unset shell variable would mean the current folder
        raise SourceError("the source is empty: give a camera index, a file, a folder or a URL")
    path, mode = Path(text), _mode(Path(text))
    if text.isdigit() or text.startswith("/dev/video"):
        with _live(text, _open_camera(text)) as source:
            yield source
    elif "://" in text:
        with _live(text, _open_capture(text)) as source:
            yield source
    elif stat.S_ISDIR(mode):
        pictures = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES)
        if not pictures:
            raise SourceError(f"folder {path} holds no pictures ({', '.join(sorted(PICTURES))})")
        yield Source(text, "stills", 1.0, _pictures(pictures, skip_unreadable=True))
    elif stat.S_ISREG(mode) and cv2.haveImageReader(str(path)):
        yield Source(text, "stills", 1.0, _pictures([path], skip_unreadable=False))
    elif stat.S_ISREG(mode):
        capture = _open_capture(text)
        fps = capture.get(cv2.CAP_PROP_FPS) or 25.0
        try:
            yield Source(text, "video", fps, _recording(capture, text, fps))
        finally:
            capture.release()
    else:
        raise SourceError(f"no such file, folder or camera: {text}")


def _mode(path: Path) -> int:
    """Return the mode of what is there, 0 if nothing is; raises `SourceError` if one cannot ask."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise SourceError(f"cannot open {str(path)[:80]}: {error.strerror}") from error


def cameras() -> list[Path]:
    """Return the V4L2 device nodes of this machine."""
    return sorted(Path("/dev").glob("video*"))


def _pictures(paths: list[Path], *, skip_unreadable: bool) -> Iterator[Frame]:
    unreadable = 0
    for index, path in enumerate(paths):
        try:
            image = read_image(path)
        except DataError as error:
            if not skip_unreadable:
                raise SourceError(str(error)) from error
            warn(f"skipped: {error}")
            unreadable += 1
            continue
        yield Frame(image, index, float(index), time.monotonic(), str(path))
    if unreadable == len(paths):
        raise SourceError(f"none of the {unreadable} pictures is readable")
    if unreadable:
        warn(f"{unreadable} of {len(paths)} pictures were unreadable and skipped")


def _recording(capture: cv2.VideoCapture, name: str, fps: float) -> Iterator[Frame]:
    period = 1.0 / fps
    index, position = 0, -period
    while True:
        ok, image = capture.read()
        if not ok:
            break
        # Some containers report no or stuck timestamps: fall back to the nominal frame rate.
        reported = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        position = reported if reported > position else position + period
        yield Frame(_as_bgr(image), index, position, time.monotonic(), name)
        index += 1
    if index == 0:
        raise SourceError(f"{name} opens as a video but holds no readable frame")


def _as_bgr(image: object) -> Image:
    return np.asarray(image, dtype=np.uint8)


def _open_capture(text: str) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(text, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        what = "stream cannot be opened" if "://" in text else "is neither a picture nor a video"
        raise SourceError(f"{text}: {what}")
    return capture


def _open_camera(text: str) -> cv2.VideoCapture:
    node = Path(f"/dev/video{text}" if text.isdigit() else text)
    if not _mode(node):
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
def _live(text: str, capture: cv2.VideoCapture) -> Iterator[Source]:
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

"""USB and other Video4Linux cameras, found again wherever they are plugged in."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2

from emo_edge.contract import Image
from emo_edge.errors import SourceError
from emo_edge.sources import v4l2
from emo_edge.sources.capture import OpenCvCapture, Picture, nominal_fps
from emo_edge.sources.quiet import quieten_opencv
from emo_edge.sources.settings import Asked
from emo_edge.sources.v4l2 import Node

# After so long without the camera, another one that sits at the node that was asked for will do.
REPLACED_SECONDS = 20.0
COMPRESSED = ("MJPG", "JPEG")
LONGEST_AGE = 2.0  # seconds; a stamp that is older is of another clock


class Webcam:
    """A camera by index ("0") or path ("/dev/video0", or a link in /dev/v4l/by-id).

    Once opened it is known by its name and its place on the bus. When it is lost and comes back
    under another index, that is where it is opened. A link is followed anew each time.
    """

    def __init__(self, text: str, asked: Asked) -> None:
        self.name = f"camera {text}" if text.isdigit() else text
        self._path = v4l2.DEVICES / f"video{text}" if text.isdigit() else Path(text)
        self._asked = asked
        self._known: Node | None = None
        self._others: set[tuple[str, str]] = set()
        self._missed_at: float | None = None

    def open(self) -> OpenCvCapture:
        """Open it; raises `SourceError`, saying what is there instead."""
        node = self._node()
        capture = _opened(node, self._asked)
        if self._known is None:
            self._others = {n.device for n in v4l2.nodes() if n.device != node.device}
        self._known, self._missed_at = node, None
        return capture

    def hint(self) -> object:
        """Return the nodes there are, each with what tells it from an earlier one of its name."""
        return tuple(_made(path) for path in v4l2.node_paths())

    def _node(self) -> Node:
        known = self._known
        if known is None or self._path.is_symlink():
            return _require(self._path)
        there = [node for node in v4l2.nodes() if node.captures]
        again = [node for node in there if node.device == known.device]
        alike = [n for n in there if n.card == known.card and n.device not in self._others]
        for candidates in (again, alike):
            if candidates:
                return candidates[0]
        now = time.monotonic()
        self._missed_at = self._missed_at or now
        if now - self._missed_at > REPLACED_SECONDS:
            for node in there:
                if node.path == self._path and node.device not in self._others:
                    return node
        raise SourceError(f"{known.card} is not plugged in")


def _made(path: Path) -> tuple[Path, int]:
    try:
        return path, path.stat().st_ctime_ns
    except OSError:  # unplugged this moment
        return path, 0


def _require(path: Path) -> Node:
    """Return the node at `path`, or say what is wrong with it."""
    if not path.exists():
        there = ", ".join(str(node.path) for node in v4l2.nodes() if node.captures) or "none"
        raise SourceError(f"no camera {path}; cameras here: {there}. Is it plugged in?")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(
            f"no permission for {path}; run: sudo usermod -aG video $USER, then log in again"
        )
    try:
        node = v4l2.ask(path)
    except OSError as error:
        raise SourceError(f"{path} is no camera ({error.strerror})") from error
    if node.driver in v4l2.LIBCAMERA_DRIVERS:
        raise SourceError(f"{path} is the raw side of a CSI camera; use --camera rpicam")
    if not node.captures:
        raise SourceError(f"{path} ({node.card}) gives no pictures; see emo-edge cameras")
    return node


def _opened(node: Node, asked: Asked) -> OpenCvCapture:
    path = node.path
    # A stalled camera then blocks read() for 2 s instead of 10.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
    quieten_opencv()
    capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise SourceError(f"{path} cannot be opened: is another program using it?")
    # MJPG is what USB webcams deliver at full rate; the driver answers with what it can do.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, asked.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.height)
    if asked.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, asked.fps)
    code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1").strip()
    compressed = code in COMPRESSED
    if compressed:  # as it is: whether it is whole can be seen, and skipped frames cost nothing
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    width = round(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    fps = nominal_fps(capture)
    rate = f" at {fps:.0f} fps" if fps else ""
    given = f"{width}x{height} {code}{rate}{_shortfall(asked, width, height, fps)}"
    title = f"{node.card} ({path}), {given}"
    if compressed:
        return _TimedCapture(capture, title, noisy=True, unpack=_packed)
    return _TimedCapture(capture, title, noisy=True)


def _shortfall(asked: Asked, width: int, height: int, fps: float) -> str:
    wanted = []
    if (asked.width, asked.height) != (width, height):
        wanted.append(f"{asked.width}x{asked.height}")
    if asked.fps is not None and abs(asked.fps - fps) > 0.5:
        wanted.append(f"{asked.fps:.0f} fps")
    return f" (asked for {' at '.join(wanted)})" if wanted else ""


def _packed(image: Image) -> Picture:
    return image.tobytes()


class _TimedCapture(OpenCvCapture):
    """Takes the time of capture from the kernel, where it is on the monotonic clock."""

    def _captured_at(self, now: float) -> float:
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        return stamp if now - LONGEST_AGE < stamp <= now else now

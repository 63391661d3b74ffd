"""Video files: every frame, in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from emo_edge.artifacts import opencv_name
from emo_edge.errors import SourceError
from emo_edge.messages import warn
from emo_edge.sources.capture import nominal_fps
from emo_edge.sources.frame import Frame, Source

# With a smaller share of the frames that its header promises a video is worth a warning.
WHOLE = 0.9


@contextmanager
def recording(name: str) -> Iterator[Source]:
    """Open a video file; raises `SourceError` if it is none."""
    # FFmpeg takes 12:30.mp4 for a URL, and no whole path for one.
    capture = cv2.VideoCapture(opencv_name(Path(name).absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise SourceError(f"{name}: is neither a picture nor a video")
    fps = nominal_fps(capture) or 25.0
    try:
        yield Source(name, "video", fps, _frames(capture, name, fps))
    finally:
        capture.release()


def _frames(capture: cv2.VideoCapture, name: str, fps: float) -> Iterator[Frame]:
    period = 1.0 / fps
    index, position = 0, -period
    while True:
        try:
            ok, image = capture.read()
        except cv2.error as error:  # pictures of a size that nobody can have
            warn(f"{name} is damaged after frame {index}: {error.err}")
            break
        if not ok:
            break
        # Some containers report no or stuck timestamps: fall back to the nominal frame rate.
        reported = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        position = reported if reported > position else position + period
        yield Frame(np.asarray(image, np.uint8), index, position, time.monotonic(), name)
        index += 1
    if index == 0:
        raise SourceError(f"{name} opens as a video but holds no readable frame")
    promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # some containers only estimate it
    if index < WHOLE * promised:
        warn(f"{name} is damaged: {index} of about {promised:.0f} frames were readable")

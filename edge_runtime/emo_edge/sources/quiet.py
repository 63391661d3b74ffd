"""OpenCV and FFmpeg say on stderr, at every try, what the source says once in words."""

from __future__ import annotations

import os

import cv2

FFMPEG_QUIET = "-8"  # AV_LOG_QUIET


def quieten_opencv() -> None:
    """Silence their remarks about cameras and streams, unless the user set a level."""
    # FFmpeg's is read when the first stream is opened.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", FFMPEG_QUIET)
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.setLogLevel(1)  # errors that are fatal

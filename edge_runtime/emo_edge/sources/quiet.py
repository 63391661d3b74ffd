"""OpenCV and FFmpeg say on stderr, at every try, what the source says once in words."""

from __future__ import annotations

import os
from typing import Any

import cv2

FFMPEG_QUIET = "-8"  # AV_LOG_QUIET
FATAL = 1


def quieten_opencv() -> None:
    """Silence their remarks about cameras and streams, unless the user set a level."""
    # FFmpeg's is read when the first stream is opened.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", FFMPEG_QUIET)
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # The one is in OpenCV up to 4.11, the other from 4.12 on.
        opencv: Any = cv2
        logging = opencv if hasattr(opencv, "setLogLevel") else opencv.utils.logging
        logging.setLogLevel(FATAL)

"""YuNet, the better face detector, made to box faces the way Haar does."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Box, Image, scaled_size
from emo_edge.detectors.fetch import read_yunet
from emo_edge.errors import UsageError
from emo_edge.smallest import SMALLEST_FACE

# Measured on 43 faces in 9 pictures (dlib) and 8 pictures without: faces of 20 pixels and more in
# the picture that is searched are all found (of 1/16, 1/12, 1/8 of the picture: 43 of 43, 21 of 21,
# 10 of 10), and at 1/16 and a score of 0.75 only a dog's is not one; from 0.85 on faces are missed.
# 0.3 is OpenCV's own overlap.
SMALLEST_PIXELS = 20
SCORE = 0.75
OVERLAP = 0.3
# The first that loads a network from memory.
OLDEST_OPENCV = (4, 8)
# With a side of up to 32 pixels OpenCV 4.10 reads memory that nobody wrote and sees phantom
# faces: in 35 of 400 pictures it answered unlike a fresh detector, with 33 and more in 0 of 500.
LEAST_SIDE = 64

# What Haar's square is in terms of YuNet, because models are trained on crops like Haar's: the
# medians over 409 faces that both found in 28 pictures and videos, each weighted alike. Its side is
# 1.26 widths (p10-p90: -10 % to +8 %; 0.94 heights would be -10 % to +12 %, and heights grow when
# a mouth opens). Its centre is 0.30 of the way from between the eyes to between the corners of the
# mouth (off by 0.037 sides across and 0.023 down, rms); from the centre of YuNet's box it would be
# 0.044 and 0.030. The mapped squares overlap Haar's by 0.88 (IoU) and tremble less than Haar's.
HAAR_SIDE = 1.26
EYES_TO_MOUTH = 0.30


def opencv_is_new_enough() -> bool:
    """Return whether this OpenCV can read the file (Debian 12's own cannot)."""
    return tuple(map(int, cv2.__version__.split(".")[:2])) >= OLDEST_OPENCV


def yunet(smallest: float = SMALLEST_FACE) -> Callable[[Image], list[Box]]:
    """Return YuNet as a detector, whose boxes are squares like Haar's.

    Args:
        smallest: Width of the smallest face to find, as a fraction of the picture's longer side;
            the cost falls with its square.

    Raises `UsageError` if its file was not fetched or this OpenCV is too old for it, `ModelError`
    if that is damaged.
    """
    if not opencv_is_new_enough():
        raise UsageError(
            f"YuNet needs OpenCV {'.'.join(map(str, OLDEST_OPENCV))}, this is {cv2.__version__}: "
            "use --detector haar"
        )
    network, nothing = np.frombuffer(read_yunet(), np.uint8), np.empty(0, np.uint8)
    long_side = round(SMALLEST_PIXELS / smallest)
    detector = cv2.FaceDetectorYN.create("onnx", network, nothing, (320, 320), SCORE, OVERLAP)

    def detect(image: Image) -> list[Box]:
        searched, across, down = _reduced(image, long_side)
        detector.setInputSize(searched.shape[1::-1])  # costs nothing, also when it is another
        _, rows = detector.detect(searched)
        if rows is None:  # no face
            return []
        return _like_haar(np.asarray(rows, np.float64), across, down)

    return detect


def _reduced(image: Image, long_side: int) -> tuple[Image, float, float]:
    """Return what is searched, and how many pixels of `image` one of its is across and down."""
    height, width = image.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    columns, rows = scaled_size(image, scale)
    if scale < 1.0:
        small = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
        image = np.asarray(small, np.uint8)
    below, beside = max(0, LEAST_SIDE - rows), max(0, LEAST_SIDE - columns)
    if below or beside:
        black = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        image = np.asarray(black, np.uint8)
    return image, width / columns, height / rows


def _like_haar(rows: NDArray[np.float64], across: float, down: float) -> list[Box]:
    """Turn YuNet's rows into squares, surest first.

    Args:
        rows: float64[N,15]: x, y, w, h, x and y of right eye, left eye, nose, right and left corner
            of the mouth, score; in pixels of the picture that was searched.
        across: Pixels of the full picture per pixel of `rows`, horizontally.
        down: The same, vertically.
    """
    points = rows[:, 4:14].reshape(-1, 5, 2) * (across, down)
    eyes, mouth = points[:, 0:2].mean(axis=1), points[:, 3:5].mean(axis=1)
    side = HAAR_SIDE * rows[:, 2:3] * across
    corners = eyes + EYES_TO_MOUTH * (mouth - eyes) - side / 2
    found = [Box(*row) for row in np.hstack([corners, side, side, rows[:, 14:]]).tolist()]
    return sorted(found, key=lambda box: -box.score)

"""OpenCV's Haar cascade, the face detector that is always there."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np

from emo_edge.contract import Box, Image, scaled_size
from emo_edge.errors import UsageError
from emo_edge.smallest import SMALLEST_FACE

HAAR_SCALE_FACTOR = 1.1
HAAR_NEIGHBOURS = 5
HAAR_SMALLEST = 30  # pixels, in the picture that is searched


# Where Debian's python3-opencv, all that there is for 32-bit Arm, keeps what the wheels carry.
DEBIAN_CASCADES = Path("/usr/share/opencv4/haarcascades")


def haar(smallest: float = SMALLEST_FACE) -> Callable[[Image], list[Box]]:
    """Return OpenCV's frontal-face Haar cascade (Viola & Jones 2001), which needs no download.

    Args:
        smallest: Width of the smallest face to find, as a fraction of the picture's longer side;
            the cost falls with its square. Of the faces in 9 pictures (dlib) it finds 38 of 43 of
            1/16 and more, 17 of 21 of 1/12, 9 of 10 of 1/8.
    """
    path = _folder() / "haarcascade_frontalface_default.xml"
    cascade = _load(path)
    if cascade is None:
        raise UsageError(
            f"this OpenCV {cv2.__version__} has no Haar cascade at {path}; install opencv < 5, or "
            "for Debian's own python3-opencv: sudo apt install opencv-data"
        )
    long_side = round(HAAR_SMALLEST / smallest)

    def detect(image: Image) -> list[Box]:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        scale = min(1.0, long_side / max(grey.shape))
        if scale < 1.0:
            grey = cv2.resize(grey, scaled_size(image, scale), interpolation=cv2.INTER_AREA)
        boxes, _, weights = cascade.detectMultiScale3(
            grey,
            scaleFactor=HAAR_SCALE_FACTOR,
            minNeighbors=HAAR_NEIGHBOURS,
            minSize=(HAAR_SMALLEST, HAAR_SMALLEST),
            outputRejectLevels=True,
        )
        corners = np.reshape(boxes, (-1, 4)) / scale
        scores = np.reshape(weights, -1)
        found = [Box(*row) for row in np.column_stack([corners, scores]).tolist()]
        return sorted(found, key=lambda box: -box.score)

    return detect


def _folder() -> Path:
    try:
        return Path(import_module("cv2.data").haarcascades)
    except ModuleNotFoundError:
        return DEBIAN_CASCADES


def _load(path: Path) -> cv2.CascadeClassifier | None:
    try:
        path.open("rb").close()  # else OpenCV says in its own words that it cannot
    except OSError:
        return None
    cascade = cv2.CascadeClassifier(str(path))
    return None if cascade.empty() else cascade

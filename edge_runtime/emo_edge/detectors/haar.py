"""OpenCV's Haar cascade, the face detector that is always there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import cv2.data
import numpy as np

from emo_edge.contract import Box, Image
from emo_edge.errors import UsageError

# Haar's cost grows with the picture: this long side still finds faces of 1/16 of the picture.
HAAR_LONG_SIDE = 480
HAAR_SCALE_FACTOR = 1.1
HAAR_NEIGHBOURS = 5
HAAR_SMALLEST = 30


def haar() -> Callable[[Image], list[Box]]:
    """Return OpenCV's frontal-face Haar cascade (Viola & Jones 2001), which needs no download."""
    path = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
    cascade = cv2.CascadeClassifier(str(path))
    if cascade.empty():
        raise UsageError(f"this OpenCV ships no Haar cascade at {path}; install opencv < 5")

    def detect(image: Image) -> list[Box]:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        scale = min(1.0, HAAR_LONG_SIDE / max(grey.shape))
        if scale < 1.0:
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
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

"""Detection over time at a fraction of its cost: known faces are looked for where they were."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from emo_edge.contract import Box, Image, scaled_size
from emo_edge.detectors import Detector
from emo_edge.tracking import Smoothing, iou, match_boxes

# Measured on 8 videos (560 frames, 640x360 to 960x540, at 12 to 15 frames a second, one x86 core)
# against searching every frame; recall stayed 1.00 (YuNet) and rose from 0.998 to 1.00 (Haar).
# - Seconds: 0.25, 0.5, 1 cost Haar 12.6, 8.6, 6.7 ms a frame (31.5 in full); 0.5 is how long a face
#   that enters may wait.
# - Seconds between two looks at a known face: where 30 frames come in a second 0.05 halves YuNet's
#   cost (12 videos, 1366 frames: 2.2 and 1.2 ms a frame). All of 1174 faces were kept, one box was
#   shown a frame too long, and boxes agree with the full search's as before (mean IoU 0.92, 10th
#   percentile 0.86). Below 20 frames a second none goes by without a look.
# - Margin, in sizes of the face: how far it may move between two frames. A wider one makes the face
#   smaller in its patch, which moves Haar's boxes: 0.3, 0.4, 0.5 overlap those of the full search
#   by 0.96, 0.94, 0.85 (IoU).
# - Pixels of a patch's longer side: at 64 (YuNet) and 80 (Haar) boxes come out 3 and 5 % too large,
#   at 96 by less than 0.5 %; 128 costs 20 % more.
# - Shrinking by INTER_LINEAR_EXACT costs half to a seventh of INTER_AREA, up to 0.3 ms a frame.
#   On 12 videos (1366 frames) both keep the same faces (YuNet 1174 of 1174, Haar 1170 of 1190) at
#   the same overlap (mean IoU 0.92, 0.95); boxes tremble by 2.1 % of their width instead of 1.9 %.
SEARCH_SECONDS = 0.5
LOOK_SECONDS = 0.05
PATCH_MARGIN = 0.3
PATCH_SIDE = 96
# Least intersection over union of a face in two frames; with less the tracker starts another track.
SAME_FACE = Smoothing.overlap


class Following:
    """A detector for the frames of one camera or video; pure but for the faces it knows.

    The whole picture is searched every `SEARCH_SECONDS` of the source's clock, and at once when a
    known face is not found again. In between, every `LOOK_SECONDS`, a known face is looked for in a
    patch around the place where it was, and taken to be there still until the next look. A face
    that the whole search misses too is still looked for at its place until the next search that is
    due, because detectors blink.

    Args:
        detector: Is given whole frames and, in between, patches of them. It may not keep a patch:
            the next one takes its place.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._patch: Image | None = None
        self._seen: list[Box] = []
        self._missing: list[Box] = []
        self._searched_at = self._looked_at = -math.inf

    def __call__(self, image: Image, at: float, stretch: float = 1.0) -> Sequence[Box]:
        """Return the faces of one frame.

        Args:
            image: uint8[H,W,3] BGR.
            at: Seconds on the source's clock.
            stretch: How many times longer than `SEARCH_SECONDS` the next search may wait.
        """
        if not _within(SEARCH_SECONDS * stretch, self._searched_at, at):
            self._searched_at = at
            self._missing = []
            return self._search(image)
        if _within(LOOK_SECONDS, self._looked_at, at):
            return self._seen
        self._looked_at = at
        if any(_fills(image, face) for face in self._seen):
            return self._search(image)
        seen = [self._near(image, face) for face in self._seen]
        back = [self._near(image, face) for face in self._missing]
        found = _distinct([box for box in seen if box is not None])
        if len(found) < len(self._seen):
            return self._search(image)
        found = _distinct([*found, *(box for box in back if box is not None)])
        self._missing = [face for face, box in zip(self._missing, back, strict=True) if box is None]
        self._seen = found
        return found

    def _search(self, image: Image) -> list[Box]:
        self._looked_at = -math.inf  # what it finds is looked at in the next frame: it may be wrong
        found = list(self._detector(image))
        known = self._seen + self._missing
        again = set(match_boxes(known, found, SAME_FACE).values())
        self._missing = [face for index, face in enumerate(known) if index not in again]
        self._seen = found
        return found

    def _near(self, image: Image, face: Box) -> Box | None:
        """Return the box that overlaps `face` most, in pixels of `image`; None if none does."""
        left, top, patch = _cut(image, face)
        # One size for all patches: the cost does not depend on how near a face is.
        zoom = PATCH_SIDE / max(patch.shape[:2])
        size = scaled_size(patch, zoom)
        resized = cv2.resize(patch, size, self._patch, interpolation=cv2.INTER_LINEAR_EXACT)
        self._patch = np.asarray(resized, np.uint8)  # the next one goes where this one was
        found = [
            Box(left + b.x / zoom, top + b.y / zoom, b.w / zoom, b.h / zoom, b.score)
            for b in self._detector(self._patch)
        ]
        same = [box for box in found if iou(box, face) >= SAME_FACE]
        return max(same, key=lambda box: iou(box, face), default=None)


def _within(seconds: float, since: float, at: float) -> bool:
    # A clock that went back (a stream that began anew) is no reason to wait for it.
    return 0 <= at - since < seconds


def _cut(image: Image, face: Box) -> tuple[int, int, Image]:
    """Return left and top in whole pixels and the part of `image` around `face`."""
    height, width = image.shape[:2]
    across, down = face.w * PATCH_MARGIN, face.h * PATCH_MARGIN
    left = min(max(0, round(face.x - across)), width - 1)
    top = min(max(0, round(face.y - down)), height - 1)
    right = max(left + 1, round(face.x + face.w + across))
    bottom = max(top + 1, round(face.y + face.h + down))
    return left, top, image[top:bottom, left:right]


def _fills(image: Image, face: Box) -> bool:
    """Whether a face is the picture (a detector that takes all of it): a patch gains nothing."""
    height, width = image.shape[:2]
    return face.w >= width and face.h >= height


def _distinct(boxes: Sequence[Box]) -> list[Box]:
    """Drop boxes of a face that is there already: neighbours' patches overlap."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda b: -b.score):
        if all(iou(box, other) < SAME_FACE for other in kept):
            kept.append(box)
    return kept

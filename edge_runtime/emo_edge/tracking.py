"""Tracks and smoothing: faces keep their number, labels do not flicker. Pure, without a clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emo_edge.contract import Box, Probabilities

UNCERTAIN = "uncertain"
# A frame that comes within so many of the last interval is the next one, not one after a gap.
NEXT_FRAME = 1.5


class Rhythm:
    """Tells the next frame from one after a break, however far apart frames are.

    Args:
        seconds: No shorter pause is a break.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._pause = seconds, 0.0
        self._at: float | None = None

    def take(self, at: float) -> tuple[float, float]:
        """Take in a frame.

        Args:
            at: Seconds on its clock.

        Returns:
            The seconds since the frame before (0 for the first), and the longest pause that is no
            break: `NEXT_FRAME` times the one before, if that is longer than `seconds`.
        """
        longest = max(self._seconds, NEXT_FRAME * self._pause)
        self._pause = 0.0 if self._at is None else at - self._at
        self._at = at
        return self._pause, longest


@dataclass(frozen=True)
class Smoothing:
    """How steady readings are.

    Attributes:
        seconds: Time constant of the exponential smoothing; 0 switches it off.
        hysteresis: How much more probable another label must be to replace the present one, and
            how far below the threshold a confidence must fall to become uncertain.
        forget_seconds: A face not seen for so long is a new face when it comes back. Where frames
            themselves are that far apart, a face may be missing in none of them.
        overlap: Least intersection over union of a face's boxes in consecutive frames.
        confirmations: Detections before a face is reported: a detector's false alarms seldom
            repeat at the same place.
    """

    seconds: float = 0.4
    hysteresis: float = 0.1
    forget_seconds: float = 1.0
    overlap: float = 0.3
    confirmations: int = 2


STILL = Smoothing(seconds=0.0, confirmations=1)


@dataclass
class Track:
    """One face over time; `probabilities` float32[n] are smoothed, `label` indexes them.

    `certain` says whether the label's probability is above the threshold, with hysteresis.
    """

    number: int
    box: Box
    probabilities: Probabilities
    label: int
    seen_at: float
    certain: bool
    detections: int = 1


class Tracker:
    """Assigns boxes to tracks by overlap and smooths each track's probabilities over time.

    Args:
        smoothing: How steady readings are.
        threshold: Confidence below which a reading is uncertain.
    """

    def __init__(self, smoothing: Smoothing, threshold: float = 0.0) -> None:
        self.smoothing, self.threshold = smoothing, threshold
        self._tracks: list[Track] = []
        self._next_number = 1
        self._rhythm = Rhythm(smoothing.forget_seconds)

    def update(
        self, boxes: Sequence[Box], probabilities: Sequence[Probabilities], at: float
    ) -> list[Track]:
        """Take in the faces of one frame.

        Args:
            boxes: Faces in pixels.
            probabilities: float32[n] for each box.
            at: Seconds on the source's clock; must not go backwards.

        Returns:
            The confirmed tracks seen in this frame, oldest first.
        """
        _, memory = self._rhythm.take(at)
        tracks = [t for t in self._tracks if at - t.seen_at <= memory]
        matches = match_boxes([t.box for t in tracks], boxes, self.smoothing.overlap)
        seen = []
        for number, (box, current) in enumerate(zip(boxes, probabilities, strict=True)):
            if number in matches:
                track = tracks[matches[number]]
                self._follow(track, box, current, at)
            else:
                track = self._begin(box, current, at)
                tracks.append(track)
            seen.append(track)
        self._tracks = tracks
        needed = self.smoothing.confirmations
        return sorted((t for t in seen if t.detections >= needed), key=lambda t: t.number)

    def _begin(self, box: Box, current: Probabilities, at: float) -> Track:
        label = int(current.argmax())
        certain = bool(current[label] >= self.threshold)
        self._next_number += 1
        return Track(self._next_number - 1, box, current, label, at, certain)

    def _follow(self, track: Track, box: Box, current: Probabilities, at: float) -> None:
        weight = smoothing_weight(at - track.seen_at, self.smoothing.seconds)
        smoothed = track.probabilities + np.float32(weight) * (current - track.probabilities)
        track.label = next_label(track.label, smoothed, self.smoothing.hysteresis)
        needed = self.threshold - (self.smoothing.hysteresis if track.certain else 0.0)
        track.certain = bool(smoothed[track.label] >= needed)
        track.box, track.probabilities, track.seen_at = box, smoothed, at
        track.detections += 1


def smoothing_weight(elapsed: float, time_constant: float) -> float:
    """Return the weight of a new value after `elapsed` seconds: 1 - exp(-elapsed / constant).

    Depends on time, not on frames: the same face gives the same curve at 5 and at 30 fps.
    """
    if time_constant <= 0:
        return 1.0
    return 1.0 - math.exp(-max(elapsed, 0.0) / time_constant)


def next_label(label: int, probabilities: Probabilities, hysteresis: float) -> int:
    """Return the label to show: the present one until another leads by more than `hysteresis`."""
    best = int(probabilities.argmax())
    return best if probabilities[best] > probabilities[label] + hysteresis else label


def match_boxes(old: Sequence[Box], new: Sequence[Box], overlap: float) -> dict[int, int]:
    """Return {index in `new`: index in `old`}, best intersection over union first."""
    pairs = sorted(
        ((iou(a, b), i, j) for i, a in enumerate(old) for j, b in enumerate(new)), reverse=True
    )
    matches: dict[int, int] = {}
    taken: set[int] = set()
    for quality, i, j in pairs:
        if quality >= overlap and i not in taken and j not in matches:
            matches[j] = i
            taken.add(i)
    return matches


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes, 0 to 1."""
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    union = a.w * a.h + b.w * b.h - shared
    return shared / union if union > 0 else 0.0  # areas too small for a float are 0

"""The loop: source -> detector -> crop -> classifier -> track and smooth -> readings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emo_edge.contract import Box, Image, Probabilities
from emo_edge.detectors import Detector
from emo_edge.following import Following
from emo_edge.sources import Frame, Source
from emo_edge.spec import ModelSpec
from emo_edge.tracking import STILL, UNCERTAIN, Smoothing, Track, Tracker

Classify = Callable[[Image, Box], Probabilities]


@dataclass(frozen=True)
class Reading:
    """What is known of one face at one moment.

    Attributes:
        track: Number of the face, stable while it stays in view.
        box: The face in pixels of its frame.
        label: A label of the model, or "uncertain" where the confidence is below its threshold.
        confidence: Smoothed probability of the label before "uncertain" replaced it.
        probabilities: Smoothed probability of each label; they sum to 1.
        captured_at: Seconds on the source's clock (see `Frame`).
        ready_at: Seconds on the same clock; ready_at - captured_at is the age of the reading.
    """

    track: int
    box: Box
    label: str
    confidence: float
    probabilities: dict[str, float]
    captured_at: float
    ready_at: float


def readings(
    source: Source,
    detector: Detector,
    classify: Classify,
    spec: ModelSpec,
    smoothing: Smoothing | None = None,
) -> Iterator[tuple[Frame, list[Reading]]]:
    """Yield every frame of `source` with the readings of its faces (none is a valid answer).

    Pictures have nothing to do with each other: each is read with a tracker of its own. In the
    frames of a camera or video faces are followed: the detector is also given patches of them.
    """
    smoothing = STILL if source.kind == "stills" else smoothing or Smoothing()
    tracker = Tracker(smoothing, spec.threshold)
    follow = Following(detector)
    for frame in source.frames:
        if source.kind == "stills":
            tracker, follow = Tracker(smoothing, spec.threshold), Following(detector)
        tracks = analyse(frame, follow, classify, tracker)
        ready_at = frame.captured_at + (time.monotonic() - frame.grabbed_at)
        yield frame, [_reading(track, spec, frame.captured_at, ready_at) for track in tracks]


def analyse(frame: Frame, follow: Following, classify: Classify, tracker: Tracker) -> list[Track]:
    """One step of the loop: return the confirmed tracks seen in `frame`."""
    boxes = follow(frame.image, frame.captured_at)
    return tracker.update(boxes, [classify(frame.image, box) for box in boxes], frame.captured_at)


def _reading(track: Track, spec: ModelSpec, captured_at: float, ready_at: float) -> Reading:
    return Reading(
        track=track.number,
        box=track.box,
        label=spec.labels[track.label] if track.certain else UNCERTAIN,
        confidence=float(track.probabilities[track.label]),
        probabilities=dict(zip(spec.labels, map(float, track.probabilities), strict=True)),
        captured_at=captured_at,
        ready_at=ready_at,
    )

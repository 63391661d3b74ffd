"""One frame: detector -> crop -> classifier -> track and smooth -> readings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emo_edge.contract import Box, Image, Probabilities
from emo_edge.detectors import Detector
from emo_edge.detectors.following import Following
from emo_edge.pace import Pace
from emo_edge.sources.frame import Frame, Kind, Source
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


class Pipeline:
    """Frames in, readings out, for one source.

    Pictures have nothing to do with each other: each is read with a tracker of its own. In the
    frames of a camera or video faces are followed: the detector is also given patches of them.

    Args:
        detector: Finds faces in pictures.
        classify: Gives the probabilities of a face.
        spec: Labels and threshold of the model.
        kind: Of the source.
        smoothing: How steady readings are; pictures are not smoothed.
        pace: Read at every frame.
    """

    def __init__(
        self,
        detector: Detector,
        classify: Classify,
        spec: ModelSpec,
        kind: Kind,
        *,
        smoothing: Smoothing | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._detector, self._classify, self._spec = detector, classify, spec
        self._stills = kind == "stills"
        self._smoothing = STILL if self._stills else smoothing or Smoothing()
        self._pace = pace or Pace()
        self._begin()

    def __call__(self, frame: Frame) -> list[Reading]:
        """Return the readings of a frame's faces (none is a valid answer)."""
        if self._stills:
            self._begin()
        boxes = self._follow(frame.image, frame.captured_at, self._pace.search_stretch)
        answers = [self._classify(frame.image, box) for box in boxes]
        tracks = self._tracker.update(boxes, answers, frame.captured_at)
        ready_at = frame.captured_at + (time.monotonic() - frame.grabbed_at)
        return [_reading(track, self._spec, frame.captured_at, ready_at) for track in tracks]

    def _begin(self) -> None:
        self._tracker = Tracker(self._smoothing, self._spec.threshold)
        self._follow = Following(self._detector)


def readings(
    source: Source,
    detector: Detector,
    classify: Classify,
    spec: ModelSpec,
    smoothing: Smoothing | None = None,
) -> Iterator[tuple[Frame, list[Reading]]]:
    """Yield every frame of `source` with its readings; see `Pipeline` for the arguments."""
    pipeline = Pipeline(detector, classify, spec, source.kind, smoothing=smoothing)
    for frame in source.frames:
        if frame is not None:
            yield frame, pipeline(frame)


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

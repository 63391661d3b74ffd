"""The sink socket: `Sink(frame, readings)` and close, any number at once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol, TextIO

import cv2

from emo_edge.annotate import annotate
from emo_edge.artifacts import atomic_path
from emo_edge.errors import OutputError, UsageError
from emo_edge.pipeline import Reading
from emo_edge.sources import Frame, Source
from emo_edge.tracking import Smoothing


class Sink(Protocol):
    """Something that takes the readings of every frame."""

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Take one frame and its readings (possibly none)."""

    def close(self) -> None:
        """Finish what was begun; called once, also after an error."""


class Console:
    """The timeline for people: a line whenever a face appears, changes its label or leaves.

    A face is gone when its track ends (`Smoothing.forget_seconds`): detectors miss single frames.
    """

    def __init__(self, source: Source, stream: TextIO | None = None) -> None:
        self._kind = source.kind
        self._origin: float | None = None
        self._shown: dict[int, tuple[str, float]] = {}  # track -> (label, last seen)
        self._stream = stream or sys.stdout

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Print what changed."""
        if self._kind == "stills":
            for line in [_still_line(r) for r in readings] or ["no face"]:
                print(f"{frame.name}: {line}", file=self._stream, flush=True)
            return
        if self._origin is None:  # a video has a clock of its own, a camera's begins now
            self._origin = frame.captured_at if self._kind == "live" else 0.0
        now = frame.captured_at - self._origin
        for reading in readings:
            if self._shown.get(reading.track, ("", 0.0))[0] != reading.label:
                age = (reading.ready_at - reading.captured_at) * 1000
                text = f"{reading.label:<12} {reading.confidence:4.0%}  ({age:.0f} ms old)"
                self._print(now, f"face {reading.track}  {text}")
            self._shown[reading.track] = (reading.label, now)
        for track, (_, seen_at) in list(self._shown.items()):
            if now - seen_at > Smoothing.forget_seconds:
                self._print(now, f"face {track}  gone")
                del self._shown[track]

    def close(self) -> None:
        """Nothing is open."""

    def _print(self, now: float, line: str) -> None:
        print(f"{now:8.2f} s  {line}", file=self._stream, flush=True)


def _still_line(reading: Reading) -> str:
    x, y, w, h = (round(v) for v in reading.box[:4])
    return f"{reading.label} {reading.confidence:.0%}  (face {w}x{h} at {x},{y})"


class JsonLines:
    """One JSON object a reading and line; "-" is stdout. A line is written whole and flushed.

    Appends to an existing file, as a log does: a restart loses nothing.
    """

    def __init__(self, target: str, source: Source) -> None:
        self._live = source.kind == "live"
        self._stream = sys.stdout if target == "-" else _open_to_append(Path(target))

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Write one line for each reading."""
        try:
            for reading in readings:
                self._stream.write(_line(as_record(frame, reading, self._live)))
            self._stream.flush()
        except OSError as error:
            # What is left in the buffer would fail once more when the stream is closed.
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
            raise OutputError(f"cannot write readings: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the file (never stdout)."""
        if self._stream is not sys.stdout:
            self._stream.close()


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _open_to_append(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def as_record(frame: Frame, reading: Reading, live: bool) -> dict[str, Any]:
    """Return a reading as a flat JSON-ready record; times in seconds, boxes in pixels."""
    record: dict[str, Any] = {
        "source": frame.name,
        "frame": frame.index,
        "time": round(reading.captured_at, 4),
        "track": reading.track,
        "label": reading.label,
        "confidence": round(reading.confidence, 4),
        "probabilities": {name: round(p, 4) for name, p in reading.probabilities.items()},
        "box": [round(v, 1) for v in reading.box[:4]],
        "age": round(reading.ready_at - reading.captured_at, 4),
    }
    if live:  # the monotonic clock means nothing to another process
        record["utc"] = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return record


class Recording:
    """An annotated video (mp4v), written under a temporary name and renamed when closed.

    `fps` is what players show; a live source that delivers fewer frames plays faster than life.
    """

    def __init__(self, target: Path, fps: float) -> None:
        if target.suffix != ".mp4":
            raise UsageError(f"--record writes .mp4 files, not {target.name}")
        self._target, self._fps = target, fps
        self._file = ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self._temporary = target
        self._frames, self._size = 0, (0, 0)

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Add one annotated frame."""
        picture = annotate(frame.image, readings)
        if self._writer is None:
            self._writer = self._begin((picture.shape[1], picture.shape[0]))
        if (picture.shape[1], picture.shape[0]) != self._size:  # OpenCV would drop it in silence
            raise OutputError(
                f"cannot record to {self._target}: the pictures changed from {self._size} to "
                f"{(picture.shape[1], picture.shape[0])}"
            )
        self._writer.write(picture)
        self._frames += 1

    def _begin(self, size: tuple[int, int]) -> cv2.VideoWriter:
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        with ExitStack() as opening:
            temporary = opening.enter_context(atomic_path(self._target))
            writer = cv2.VideoWriter(str(temporary), codec, self._fps, size)
            if not writer.isOpened():
                raise OutputError(f"cannot record to {self._target}: OpenCV refused mp4v")
            self._file = opening.pop_all()
        self._temporary, self._size = temporary, size
        return writer

    def close(self) -> None:
        """Finish the video and give it its name; raises `OutputError` if it is not whole.

        OpenCV says nothing when a disk is full, so the frames are counted.
        """
        if self._writer is None:
            return
        self._writer.release()
        with self._file:
            kept = _frames_in(self._temporary)
            if kept < self._frames:
                raise OutputError(
                    f"cannot record to {self._target}: {kept} of {self._frames} frames were "
                    "written; is the disk full?"
                )


def _frames_in(video: Path) -> int:
    capture = cv2.VideoCapture(str(video))
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()


class Snapshot:
    """The newest annotated picture that has a face, as a file that is whole at every moment."""

    def __init__(self, target: Path) -> None:
        if not cv2.haveImageWriter(target.name):
            raise UsageError(f"--snapshot writes pictures such as .jpg or .png, not {target.name}")
        self._target = target

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Replace the picture, if this frame has a face."""
        if not readings:
            return
        with atomic_path(self._target) as temporary:
            if not cv2.imwrite(str(temporary), annotate(frame.image, readings)):
                raise OutputError(f"cannot write {self._target}")

    def close(self) -> None:
        """Nothing is open."""

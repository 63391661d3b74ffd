"""`--record`: annotated video files."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from emo_edge.annotate import annotate
from emo_edge.artifacts import make_folder, opencv_name, require_writable, sync_folder
from emo_edge.contract import Image
from emo_edge.errors import OutputError, UsageError
from emo_edge.pipeline import Reading
from emo_edge.sinks.log import lock
from emo_edge.sinks.room import require_room
from emo_edge.sources.frame import Frame, Kind
from emo_edge.tracking import Rhythm

# A board encodes half the frames of a camera at half the cost, and faces change slower than this.
LIVE_FPS = 15.0
# Rates that mp4v takes with three decimals.
EXACT_FPS = 65.0
# An mp4 cannot be read before it is finished: a power cut costs the file at hand, no more.
FILE_SECONDS = 600.0
# A camera that was away for longer begins a new file; a shorter gap is filled, and one that is no
# longer than the one before (--max-fps 0.05).
GAP_SECONDS = 10.0
CHECK_SECONDS = 1.0


class Recording:
    """Annotated video files (mp4v), each written under a hidden name and renamed when finished.

    A video gives one file of as many frames. A camera is recorded at life speed (frames are
    repeated or left out to keep time) into files of ten minutes: seen.mp4, seen-0002.mp4 and so on;
    files that exist are never replaced. Pictures of another size begin a new file.

    Args:
        target: An .mp4 file.
        kind: Of the source.
        fps: Nominal frames per second of the source.
    """

    def __init__(self, target: Path, kind: Kind, fps: float) -> None:
        if target.suffix.lower() != ".mp4":
            raise UsageError(f"--record writes .mp4 files, not {target.name}")
        if kind == "stills":
            raise UsageError("--record makes a video of a camera or video; use --snapshot here")
        opencv_name(target.absolute())  # its neighbours are called alike
        require_writable(target)
        self._target, self._live = target, kind == "live"
        self._fps = min(fps, LIVE_FPS) if self._live else fps
        self._film: Film | None = None
        self._files = 0
        self._began_at = self._checked_at = 0.0
        self._rhythm = Rhythm(GAP_SECONDS)

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Add one annotated frame."""
        self._require_room()
        gap, longest = self._rhythm.take(frame.captured_at)
        if self._film is not None and self._must_begin_anew(frame, broken=not 0 <= gap <= longest):
            self._finish()
        if self._film is None:
            height, width = frame.image.shape[:2]
            self._film = Film(self._target, self._fps, (width, height))
            self._began_at = frame.captured_at
        due = self._film.frames
        if self._live:
            due = round((frame.captured_at - self._began_at) * self._fps)
        if due >= self._film.frames:
            self._film.repeat(due - self._film.frames)
            self._film.add(annotate(frame.image, readings))

    def close(self) -> None:
        """Finish the video and give it its name; raises `OutputError` if it is not whole."""
        self._finish()

    def _must_begin_anew(self, frame: Frame, *, broken: bool) -> bool:
        assert self._film is not None
        height, width = frame.image.shape[:2]
        if self._film.size != (width, height):  # OpenCV would drop it in silence
            return True
        return self._live and (broken or frame.captured_at - self._began_at >= FILE_SECONDS)

    def _require_room(self) -> None:
        """Once a second: finish the file while its end still has room."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._target.parent.mkdir(parents=True, exist_ok=True)
        try:
            require_room(self._target.parent)
        except OSError:
            self._finish()
            raise
        self._checked_at = now

    def _finish(self) -> None:
        if self._film is not None:
            film, self._film = self._film, None
            film.finish(self._next_name())

    def _next_name(self) -> Path:
        """Return the target, or the target with the next number (that is free, for a camera)."""
        while True:
            self._files += 1
            name = self._target
            if self._files > 1:
                name = name.with_stem(f"{name.stem}-{self._files:04d}")
            if not (self._live and name.exists()):
                return name


class Film:
    """One video file while it is written: hidden, locked, and the same one for every run."""

    def __init__(self, target: Path, fps: float, size: tuple[int, int]) -> None:
        self.size, self.frames = size, 0
        self._target, self._newest = target, np.zeros((), np.uint8)
        # What a killed run left is written over: it cannot be read, and must not pile up.
        # The whole path, because FFmpeg takes .12:30.partial.mp4 for a URL.
        self._partial = target.absolute().with_name(f".{target.stem}.partial{target.suffix}")
        self._lock = _locked(self._partial, target)
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._partial), codec, _writable_fps(fps), size)
        if not self._writer.isOpened():
            self._discard()
            raise OutputError(f"cannot record to {target}: OpenCV refused mp4v")

    def add(self, picture: Image) -> None:
        """Add a picture uint8[H,W,3] BGR of this size."""
        self._writer.write(picture)
        self._newest = picture
        self.frames += 1

    def repeat(self, times: int) -> None:
        """Add the newest picture again."""
        for _ in range(times):
            self.add(self._newest)

    def finish(self, final: Path) -> None:
        """End the file and give it its name.

        Raises `OutputError`: OpenCV says nothing when a disk is full, so the frames are counted.
        """
        self._writer.release()
        try:
            kept = _frames_in(self._partial)
            if kept < self.frames:
                raise OutputError(
                    f"cannot record to {self._target}: {kept} of {self.frames} frames were "
                    "written; is the disk full?"
                )
            os.fsync(self._lock)
            self._partial.replace(final)
            sync_folder(final.parent)
        except OSError as error:
            raise OutputError(f"cannot record to {final}: {error.strerror or error}") from error
        finally:
            self._discard()

    def _discard(self) -> None:
        self._partial.unlink(missing_ok=True)
        os.close(self._lock)


def _locked(partial: Path, target: Path) -> int:
    """Return a descriptor of the hidden file, which this process alone writes."""
    make_folder(partial.parent)
    file = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        lock(file, target)
    except OutputError:
        os.close(file)
        raise
    return file


def _writable_fps(fps: float) -> float:
    """Return the rate as mp4v can say it.

    Its time base is at most 1/65535 s, and OpenCV takes up to three decimals of a rate into it:
    119.947 would be 119947/1000.
    """
    return round(fps, 1) if fps > EXACT_FPS else fps


def _frames_in(video: Path) -> int:
    capture = cv2.VideoCapture(str(video))
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()

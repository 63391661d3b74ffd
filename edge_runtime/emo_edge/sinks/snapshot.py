"""`--snapshot`: the newest annotated face as a picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2

from emo_edge.annotate import annotate
from emo_edge.artifacts import atomic_path, opencv_name, require_writable
from emo_edge.errors import OutputError, UsageError
from emo_edge.pipeline import Reading
from emo_edge.sinks.room import require_room
from emo_edge.sources.frame import Frame

SECONDS = 1.0


class Snapshot:
    """The newest annotated picture that has a face, as a file that is whole at every moment.

    It is replaced once a second at most, and by the very last one at the end.
    """

    def __init__(self, target: Path) -> None:
        if not cv2.haveImageWriter(opencv_name(target)):
            raise UsageError(f"--snapshot writes pictures such as .jpg or .png, not {target.name}")
        require_writable(target)
        self._target = target
        self._newest: tuple[Frame, Sequence[Reading]] | None = None
        self._written_at = -SECONDS

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> bool:
        """Replace the picture, if there is a newer face and a second is over; return whether."""
        if readings:
            self._newest = frame, readings
        return time.monotonic() - self._written_at >= SECONDS and self._write()

    def close(self) -> None:
        """Write the last picture."""
        self._write()

    def _write(self) -> bool:
        if self._newest is None:
            return False
        self._written_at = time.monotonic()
        self._target.parent.mkdir(parents=True, exist_ok=True)
        require_room(self._target.parent)
        frame, readings = self._newest
        with atomic_path(self._target, transient=True) as temporary:
            try:
                written = cv2.imwrite(str(temporary), annotate(frame.image, readings))
            except cv2.error as error:  # too large for the format
                raise OutputError(f"cannot write {self._target}: {error.err}") from error
            if not written:
                raise OutputError(f"cannot write {self._target}: is the disk full?")
        self._newest = None
        return True

"""`--snapshot`: the newest annotated face as a picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2

from emo_edge.annotate import annotate
from emo_edge.artifacts import atomic_path, require_writable
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
        if not cv2.haveImageWriter(target.name):
            raise UsageError(f"--snapshot writes pictures such as .jpg or .png, not {target.name}")
        require_writable(target)
        self._target = target
        self._newest: tuple[Frame, Sequence[Reading]] | None = None
        self._written_at = -SECONDS

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Replace the picture, if this frame has a face and a second is over."""
        if readings:
            self._newest = frame, readings
        if time.monotonic() - self._written_at >= SECONDS:
            self._write()

    def close(self) -> None:
        """Write the last picture."""
        self._write()

    def _write(self) -> None:
        if self._newest is None:
            return
        self._written_at = time.monotonic()
        self._target.parent.mkdir(parents=True, exist_ok=True)
        require_room(self._target.parent)
        (frame, readings), self._newest = self._newest, None
        with atomic_path(self._target, transient=True) as temporary:
            try:
                written = cv2.imwrite(str(temporary), annotate(frame.image, readings))
            except cv2.error as error:  # too large for the format
                raise OutputError(f"cannot write {self._target}: {error.err}") from error
            if not written:
                raise OutputError(f"cannot write {self._target}: is the disk full?")

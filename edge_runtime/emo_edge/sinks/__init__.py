"""The sink socket: `Sink(frame, readings)` and close, any number at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from emo_edge.pipeline import Reading
    from emo_edge.sources.frame import Frame


class Sink(Protocol):
    """Something that takes the readings of every frame.

    A sink that raises `OutputError` or `OSError` may be called again: it must be able to go on.
    """

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> bool | None:
        """Take one frame and its readings (possibly none); the picture may not be changed.

        Return False if there was nothing to do, which says nothing about whether it could be done.
        """

    def close(self) -> None:
        """Finish what was begun; called once, also after an error."""

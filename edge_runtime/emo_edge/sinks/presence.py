"""Who is in view: a face that is missed for a moment is not gone, because detectors blink."""

from __future__ import annotations

from collections.abc import Sequence

from emo_edge.pipeline import Reading
from emo_edge.tracking import Rhythm, Smoothing


class Presence:
    """The newest reading of every face that is in view.

    A face is gone when it was not seen for as long as the tracker remembers it.
    """

    def __init__(self) -> None:
        self.faces: dict[int, Reading] = {}
        self._rhythm = Rhythm(Smoothing.forget_seconds)

    def update(self, at: float, readings: Sequence[Reading]) -> tuple[list[Reading], list[int]]:
        """Take in the readings of a frame.

        Args:
            at: Seconds on the source's clock.
            readings: Its readings.

        Returns:
            The readings whose face is new or has another label, and the faces that are gone.
        """
        changed = [
            reading
            for reading in readings
            if (before := self.faces.get(reading.track)) is None or before.label != reading.label
        ]
        self.faces.update((reading.track, reading) for reading in readings)
        _, memory = self._rhythm.take(at)
        gone = [t for t, reading in self.faces.items() if at - reading.captured_at > memory]
        for track in gone:
            del self.faces[track]
        return changed, gone

"""What of a stream of readings is worth a message: changes, and now and then how things are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emo_edge.pipeline import Reading
from emo_edge.sinks.mqtt.homeassistant import NOBODY
from emo_edge.sinks.presence import Presence
from emo_edge.sinks.records import as_record, utc
from emo_edge.sources.frame import Frame

CHANGE_SECONDS = 0.5
REFRESH_SECONDS = 5.0


class Digest:
    """The state of one source: who shows what. Pure but for the faces it knows.

    A message is due when a face appears, leaves or changes its label, at most every
    `CHANGE_SECONDS` of the source's clock, and every `REFRESH_SECONDS` while a face is in view.
    """

    def __init__(self) -> None:
        self._presence = Presence()
        self._told: dict[int, str] | None = None
        self._told_at = 0.0
        self._source = ""

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> dict[str, Any] | None:
        """Take in one frame; return the state if it is due, else None."""
        at, self._source = frame.captured_at, frame.name
        self._presence.update(at, readings)
        faces = self._presence.faces
        shown = {track: reading.label for track, reading in faces.items()}
        since = at - self._told_at
        if self._told is None or since < 0:
            due = True
        elif shown != self._told:
            due = since >= CHANGE_SECONDS
        else:
            due = bool(faces) and since >= REFRESH_SECONDS
        if not due:
            return None
        self._told, self._told_at = shown, at
        records = [as_record(frame, reading, live=False) for reading in faces.values()]
        for record in records:
            del record["source"], record["frame"], record["time"]
        return self._state(records)

    def nobody(self) -> dict[str, Any] | None:
        """Return the state of a source that delivers nothing, None if that was told already."""
        if not self._told:
            return None
        self._presence.faces.clear()
        self._told = {}
        return self._state([])

    def _state(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        # The nearest face stands for all where there is room for one.
        main = max(records, key=lambda record: record["box"][2], default=None)
        return {
            "utc": utc(),
            "source": self._source,
            "faces": len(records),
            "label": main["label"] if main else NOBODY,
            "confidence": main["confidence"] if main else None,
            "readings": records,
        }

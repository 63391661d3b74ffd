"""`--jsonl`: one JSON object a reading and line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from emo_edge.pipeline import Reading
from emo_edge.sinks.log import Log
from emo_edge.sinks.records import as_record
from emo_edge.sinks.stdout import Stdout
from emo_edge.sources.frame import Frame, Kind


class JsonLines:
    """Readings as JSON lines, appended to a log; "-" is stdout."""

    def __init__(self, target: str, kind: Kind, *, limit: int = 0) -> None:
        self._live = kind == "live"
        self._lines: Log | Stdout
        if target == "-":
            self._lines = Stdout()
        else:
            self._lines = Log(Path(target), begins='{"source": ', limit=limit)

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> bool:
        """Write one line for each reading; return whether there was one."""
        records = (as_record(frame, reading, self._live) for reading in readings)
        self._lines.append("".join(json.dumps(r, allow_nan=False) + "\n" for r in records))
        return bool(readings)

    def close(self) -> None:
        """Close the file (never stdout)."""
        self._lines.close()

"""A reading as a flat record: what JSON lines, CSV, MQTT and the page say of a face."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

from emo_edge.pipeline import Reading
from emo_edge.sources.frame import Frame


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
        record["utc"] = utc(time.monotonic() - reading.captured_at)
    return record


def utc(ago: float = 0.0) -> str:
    """Return the time of day so many seconds ago as ISO 8601 text with milliseconds."""
    then = datetime.now(timezone.utc) - timedelta(seconds=ago)
    return then.isoformat(timespec="milliseconds")

"""What the viewers are told, as server-sent events: each the newest of its kind, never a queue."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from emo_edge.health import Health
from emo_edge.pipeline import Reading
from emo_edge.sinks.page.history import History
from emo_edge.sinks.page.latest import Latest, Moment
from emo_edge.sinks.page.verdict import problems, warnings

EVENTS_PER_SECOND = 10.0
STATUS_SECONDS = 1.0
RETRY_MS = 2000


class Listener(NamedTuple):
    """One listener's place in the broadcast.

    Attributes:
        hello: What to send first.
        after: Waits so many seconds for what is new, and returns it; b"" if nothing is.
    """

    hello: bytes
    after: Callable[[float], bytes]


class Broadcast:
    """Turns moments and health into events, in a thread of its own, whoever listens.

    Args:
        latest: Where the newest moment is.
        health: Of the run.
        about: What does not change during a run, sent first to every listener.
    """

    def __init__(self, latest: Latest, health: Health, about: Mapping[str, Any]) -> None:
        self._latest, self._health, self._about = latest, health, about
        self._history = History()
        self._changed = threading.Condition()
        self._listeners = 0
        self._events: dict[str, tuple[int, bytes]] = {}  # kind -> (number, event)
        self._status_at = float("-inf")
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="page-events", daemon=True)
        self._thread.start()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return self._listeners

    def label_seconds(self) -> dict[str, float]:
        """Return for how many seconds each label was shown, all faces together."""
        with self._changed:
            return dict(self._history.label_seconds)

    def status(self) -> dict[str, Any]:
        """Return the health, with a verdict."""
        snapshot = self._health.snapshot()
        reasons = problems(snapshot)
        return {
            "ok": not reasons,
            "reasons": reasons,
            "warnings": warnings(snapshot),
            "seconds_since_frame": round(self._latest.idle_seconds, 1),
            **snapshot,
        }

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """Listen for as long as the context lasts."""
        with self._changed:
            self._listeners += 1
            seen = {kind: number for kind, (number, _) in self._events.items()}
            hello = {**self._about, "now": time.monotonic(), "history": self._history.samples()}
        try:
            first = _event("hello", hello, retry=True) + _event("status", self.status())
            yield Listener(first, lambda timeout: self._after(seen, timeout))
        finally:
            with self._changed:
                self._listeners -= 1

    def _after(self, seen: dict[str, int], timeout: float) -> bytes:
        """Return the events that are newer than those `seen`, which is brought up to date."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._news(seen), timeout)
            kinds = self._news(seen)
            seen.update((kind, self._events[kind][0]) for kind in kinds)
            return b"".join(self._events[kind][1] for kind in kinds)

    def close(self) -> None:
        """End the thread; let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _news(self, seen: Mapping[str, int]) -> list[str]:
        return [kind for kind, (number, _) in self._events.items() if number > seen.get(kind, 0)]

    def _run(self) -> None:
        number = 0
        while not self._closed:
            began = time.monotonic()
            moment = self._latest.after(number, timeout=STATUS_SECONDS)
            if moment is not None:
                number = moment.number
                with self._changed:
                    self._history.take(moment)
            self._publish(moment)
            with self._changed:
                rest = began + 1 / EVENTS_PER_SECOND - time.monotonic()
                self._changed.wait_for(lambda: self._closed, max(0.0, rest))

    def _publish(self, moment: Moment | None) -> None:
        if not self._listeners:
            return
        made: dict[str, bytes] = {}
        if moment is not None:
            made["readings"] = _event("readings", _readings(moment), number=moment.number)
        now = time.monotonic()
        if now - self._status_at >= STATUS_SECONDS:
            self._status_at = now
            made["status"] = _event("status", self.status())
        with self._changed:
            for kind, event in made.items():
                self._events[kind] = (self._events.get(kind, (0, b""))[0] + 1, event)
            if made:
                self._changed.notify_all()


def face_record(reading: Reading) -> dict[str, Any]:
    """Return a reading as JSON-ready as the page and its programs get it; box in pixels."""
    return {
        "track": reading.track,
        "label": reading.label,
        "confidence": round(reading.confidence, 4),
        "probabilities": {name: round(p, 4) for name, p in reading.probabilities.items()},
        "box": [round(v, 1) for v in reading.box[:4]],
    }


def _readings(moment: Moment) -> dict[str, Any]:
    height, width = moment.frame.image.shape[:2]
    return {
        "frame": moment.frame.index,
        "now": round(time.monotonic(), 3),
        "age": round(moment.age, 4),
        "width": width,
        "height": height,
        "faces": [face_record(reading) for reading in moment.readings],
    }


def _event(
    kind: str, data: Mapping[str, Any], number: int | None = None, *, retry: bool = False
) -> bytes:
    lines = [f"retry: {RETRY_MS}"] if retry else []
    lines += [f"event: {kind}"] + ([] if number is None else [f"id: {number}"])
    # json.dumps leaves no line break, which would end the event.
    lines.append(f"data: {json.dumps(data, allow_nan=False)}")
    return ("\n".join(lines) + "\n\n").encode()

"""A sink that fails is named once, counted and tried again; the others go on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from emo_edge.errors import EmoError
from emo_edge.health import Health, SinkHealth
from emo_edge.messages import say, warn
from emo_edge.sinks import Sink
from emo_edge.sinks.stdout import ReaderGoneError

if TYPE_CHECKING:
    from emo_edge.pipeline import Reading
    from emo_edge.sources.frame import Frame

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0


class Isolated:
    """A sink whose failures stay with it.

    A failure drops the frame, and the frames until the next try: after one second, then two, four
    and so on up to a minute; after a minute without a failure, again one. The end of the reader of
    stdout is not a failure but the end of the run, and a bug is a bug: both pass.

    Args:
        name: What people call it.
        sink: The sink.
        health: Is told how it fares.
    """

    def __init__(self, name: str, sink: Sink, health: Health) -> None:
        self._name, self._sink = name, sink
        self._lock = health.lock
        self._health = health.sinks.setdefault(name, SinkHealth())
        self._wait, self._retry_at = FIRST_WAIT, 0.0
        self._lost = 0

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Hand on one frame, unless the sink is failing and it is too early to try again."""
        if time.monotonic() < self._retry_at:
            self.drop()
            return
        try:
            self._sink(frame, readings)
        except ReaderGoneError:
            raise
        except (EmoError, OSError) as error:
            self._fail(error)
            self.drop()
        else:
            self._succeed()

    def drop(self) -> None:
        """Count a frame that the sink does not get."""
        self._lost += 1
        with self._lock:
            self._health.dropped += 1

    def close(self) -> None:
        """Close the sink."""
        try:
            self._sink.close()
        except ReaderGoneError:
            raise
        except (EmoError, OSError) as error:
            self._fail(error)

    def _fail(self, error: EmoError | OSError) -> None:
        now = time.monotonic()
        if now - self._retry_at > LONGEST_WAIT:
            self._wait = FIRST_WAIT
        self._retry_at = now + self._wait
        self._wait = min(2 * self._wait, LONGEST_WAIT)
        said = self._health.state == "failing"
        with self._lock:
            self._health.state, self._health.error = "failing", _words(error)
        if not said:
            warn(f"output {self._name} is failing: {_words(error)}; the rest goes on")

    def _succeed(self) -> None:
        with self._lock:
            self._health.written += 1
            again = self._health.state == "failing"
            self._health.state, self._health.error = "ok", ""
        if again:
            say(f"output {self._name} works again; {self._lost} frame(s) were lost")
        self._lost = 0


def _words(error: EmoError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def losses(health: Health, *, whole: bool) -> str:
    """Return what the outputs lost, for the exit code; empty if nothing.

    Args:
        health: Of the finished run.
        whole: Whether the source ended by itself: then every lost frame counts. Otherwise (a run of
            months that was stopped) only an output that is failing now.
    """
    with health.lock:
        return "; ".join(
            f"{name} lost {sink.dropped} frame(s)" + (f" ({sink.error})" if sink.error else "")
            for name, sink in health.sinks.items()
            if sink.state == "failing" or (whole and sink.dropped)
        )

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


class Report:
    """What is said and counted of one output: each outage once, and its end.

    Args:
        name: What people call the output.
        health: Is told how it fares.
    """

    def __init__(self, name: str, health: Health) -> None:
        self._name, self._lock = name, health.lock
        self._health = health.sinks.setdefault(name, SinkHealth())
        self._lost = 0

    @property
    def failing(self) -> bool:
        """Whether the output fails at present."""
        return self._health.state == "failing"

    def failed(self, words: str) -> None:
        """Take in a failure."""
        with self._lock:
            said = self.failing
            self._health.state, self._health.error = "failing", words
        if not said:
            warn(f"output {self._name} is failing: {words}; the rest goes on")

    def works(self) -> None:
        """Take in that it works."""
        with self._lock:
            again, lost = self.failing, self._lost
            self._health.state, self._health.error = "ok", ""
            self._lost = 0
        if again:
            say(f"output {self._name} works again" + (f"; {lost} were lost" if lost else ""))

    def written(self) -> None:
        """Count what was written."""
        with self._lock:
            self._health.written += 1

    def dropped(self, count: int = 1) -> None:
        """Count what was not."""
        with self._lock:
            self._lost += count
            self._health.dropped += count


class Isolated:
    """A sink whose failures stay with it.

    A failure drops the frame, and the frames until the next try: after one second, then two, four
    and so on up to a minute; after a minute without a failure, again one. The end of the reader of
    stdout is not a failure but the end of the run, and a bug is a bug: both pass.

    Args:
        name: What people call it.
        sink: The sink.
        health: Is told how it fares, in frames.
    """

    def __init__(self, name: str, sink: Sink, health: Health) -> None:
        self._sink, self._report = sink, Report(name, health)
        self._wait, self._retry_at = FIRST_WAIT, 0.0

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Hand on one frame, unless the sink is failing and it is too early to try again."""
        if self._report.failing and time.monotonic() < self._retry_at:
            self._report.dropped()
            return
        try:
            done = self._sink(frame, readings)
        except ReaderGoneError:
            raise
        except (EmoError, OSError) as error:
            self._put_off()
            self._report.dropped()
            self._report.failed(_words(error))
        else:
            self._report.written()
            if self._report.failing and done is not False:
                self._report.works()

    def drop(self) -> None:
        """Count a frame that the sink does not get."""
        self._report.dropped()

    def close(self) -> None:
        """Close the sink."""
        try:
            self._sink.close()
        except ReaderGoneError:
            raise
        except (EmoError, OSError) as error:
            self._report.failed(_words(error))

    def _put_off(self) -> None:
        now = time.monotonic()
        if now - self._retry_at > LONGEST_WAIT:
            self._wait = FIRST_WAIT
        self._retry_at = now + self._wait
        self._wait = min(2 * self._wait, LONGEST_WAIT)


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
            f"output {name}: {sink.dropped} lost" + (f" ({sink.error})" if sink.error else "")
            for name, sink in health.sinks.items()
            if sink.state == "failing" or (whole and sink.dropped)
        )

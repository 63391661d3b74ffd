"""Ctrl-C and SIGTERM end the loop after the frame at hand, so that every file is closed whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Stop:
    """Whether to stop; `signal` is the number of the signal that asked, 0 if none did."""

    signal: int = 0

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.signal != 0


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Let SIGINT and SIGTERM ask to stop while the context lasts; a second one interrupts at once.

    Only the main thread may call this.
    """
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's protocol)
        if stop.signal:
            raise KeyboardInterrupt
        stop.signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

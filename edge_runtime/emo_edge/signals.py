"""A signal ends the loop after the frame at hand, so that every file is closed whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

# Ctrl-C, a service manager, a terminal that closes.
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Stop:
    """Whether to stop; `signal` is the number of the signal that asked, 0 if none did."""

    signal: int = 0

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.signal != 0


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Let `ASKING` ask to stop while the context lasts; a second one interrupts at once.

    What the parent had ignored (nohup) stays ignored. Only the main thread may call this.
    """
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's protocol)
        if stop.signal:
            raise KeyboardInterrupt
        stop.signal = number

    heard = [number for number in ASKING if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

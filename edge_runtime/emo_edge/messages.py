"""Lines for people go to stderr; stdout is kept for results."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TextIO, cast

from emo_edge.errors import EmoError

# What a live line may have left at the cursor (see `sinks/console.py`) is cleared first.
CLEAR = "\x1b[K"

# Two threads that hold stderr back at once would each put the other's file in its place.
_turn = threading.RLock()
# Descriptors of the real stderr while it is held back, the outermost first.
_real: list[int] = []
_real_lock = threading.RLock()  # else a line could go to a descriptor that is closed, or reused


def say(message: str) -> None:
    """Print one line to stderr, also while `hushed` holds it back.

    Where stderr has no room (a full disk, a dead pipe) the line is lost: a message that nobody can
    read must not end what goes on.
    """
    with _real_lock, suppress(OSError), _stderr() as stderr:
        clear = CLEAR if stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" else ""
        print(f"{clear}{message}", file=stderr, flush=True)


def warn(message: str) -> None:
    """Print a warning line to stderr."""
    say(f"warning: {message}")


@contextmanager
def _stderr() -> Iterator[TextIO]:
    """Yield the real stderr, or what stands in its place (a notebook's, a progress bar's)."""
    sys.stderr.flush()
    if sys.__stderr__ is None or sys.stderr is not sys.__stderr__:
        yield sys.stderr
        return
    # With a buffer of its own: in that of sys.stderr a line that had no room would stay, fail again
    # when Python ends, and change the exit code to 120.
    number = _real[0] if _real else 2
    with os.fdopen(
        number, "w", encoding=sys.stderr.encoding, errors="backslashreplace", closefd=False
    ) as stderr:
        yield stderr


def _held_back() -> BinaryIO:
    """Open a file without a name; in memory on Linux, where a device may have no /tmp."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("held-back"), "w+b")
    return cast(BinaryIO, tempfile.TemporaryFile())


@contextmanager
def hushed() -> Iterator[None]:
    """Hold back what native libraries write to stderr (the chatter of TensorFlow and its runtimes).

    If the body fails by a bug, everything held back is printed: it may be the only explanation.
    """
    explanation = b""
    try:
        with overheard() as held, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield
            except (EmoError, KeyboardInterrupt):
                raise  # they say what happened themselves
            except BaseException:
                held.seek(0)
                explanation = held.read()
                raise
    finally:
        if explanation:
            with suppress(OSError):  # no room: the bug itself stays
                sys.stderr.buffer.write(explanation)


@contextmanager
def overheard() -> Iterator[BinaryIO]:
    """Hold back what native libraries write to stderr, and yield the file that it goes to.

    What `say` and `warn` print, in any thread, is not held back. A second thread waits for the
    first. It costs 30 microseconds.
    """
    with _turn, _held_back() as held:
        _flush()
        stderr = os.dup(2)
        with _real_lock:
            _real.append(stderr)
            os.dup2(held.fileno(), 2)
        try:
            yield held
        finally:
            _flush()
            with _real_lock:
                os.dup2(stderr, 2)
                _real.remove(stderr)
                os.close(stderr)


def _flush() -> None:
    with suppress(OSError):  # as in `say`
        sys.stderr.flush()

"""Lines for people go to stderr; stdout is kept for results."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from emo_edge.errors import EmoError

# What a live line may have left at the cursor (see `sinks/console.py`) is cleared first.
CLEAR = "\x1b[K"


def say(message: str) -> None:
    """Print one line to stderr."""
    clear = CLEAR if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" else ""
    print(f"{clear}{message}", file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Print a warning line to stderr."""
    say(f"warning: {message}")


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
    sys.stderr.flush()
    with _held_back() as held, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except (EmoError, KeyboardInterrupt):
            raise  # they say what happened themselves
        except BaseException:
            os.dup2(stderr, 2)
            held.seek(0)
            sys.stderr.buffer.write(held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)

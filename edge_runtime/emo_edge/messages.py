"""Lines for people go to stderr; stdout is kept for results."""

from __future__ import annotations

import sys


def say(message: str) -> None:
    """Print one line to stderr."""
    print(message, file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Print a warning line to stderr."""
    say(f"warning: {message}")

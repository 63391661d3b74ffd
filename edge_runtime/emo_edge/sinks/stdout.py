"""Lines on stdout: each is written whole, and what had no room does not come back later."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO


class ReaderGoneError(BrokenPipeError):
    """Whoever read stdout has closed it (`| head`): a pipe's way to end the run."""


class Stdout:
    """Whole lines on stdout, or on another stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout

    def append(self, text: str) -> None:
        """Write `text` and flush it; what the stream's encoding lacks is escaped.

        Raises `ReaderGoneError`, or `OSError` where there is no room; `text` is then forgotten.
        """
        encoding = self.stream.encoding or "utf-8"
        try:
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self.stream.flush()
        except BrokenPipeError as error:
            raise ReaderGoneError(*error.args) from error
        except OSError:
            self._forget_buffered()
            raise

    def close(self) -> None:
        """Stdout stays open."""

    def _forget_buffered(self) -> None:
        """Let the buffer run into nothing: it would be written before the next line, or at exit."""
        number = self.stream.fileno()
        kept = os.dup(number)
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), number)
        with suppress(OSError):
            self.stream.flush()
        os.dup2(kept, number)
        os.close(kept)

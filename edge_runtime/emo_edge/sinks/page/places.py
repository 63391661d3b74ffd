"""So many at a time, and the next is told to come back later."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class BusyError(Exception):
    """All places are taken."""


class Places:
    """A limit on what happens at the same time.

    Args:
        limit: How many may.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self.taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place for as long as the context lasts; raises `BusyError` if there is none."""
        with self._lock:
            if self.taken >= self._limit:
                raise BusyError
            self.taken += 1
        try:
            yield
        finally:
            with self._lock:
                self.taken -= 1

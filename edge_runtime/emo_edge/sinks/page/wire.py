"""The two directions of a client's socket, each bounded in time; the way in also in bytes."""

from __future__ import annotations

import io
import socket
import time
from typing import Any

# For all of one write: who takes no picture for so long is not watching.
WRITE_SECONDS = 10.0
# Of what a viewer of a stream says, at each look whether it is still there.
UNHEARD_BYTES, UNHEARD_PIECES = 64 * 1024, 16


class TooMuchError(Exception):
    """A client sent more than it was allowed."""


class Incoming(io.RawIOBase):
    """What a client sends, as long as it stays within what it was last allowed.

    A timeout of the socket alone would not do: a client that sends a byte now and then (slowloris)
    never meets it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._bytes, self._deadline = 0, 0.0

    def allow(self, size: int, seconds: float) -> None:
        """Allow so many more bytes, and so long from now."""
        self._bytes, self._deadline = size, time.monotonic() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there; raises `TimeoutError` or `TooMuchError`."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self._bytes <= 0:
            raise TooMuchError
        self._connection.settimeout(left)
        count = self._connection.recv_into(memoryview(buffer)[: self._bytes])
        self._bytes -= count
        return count


class Outgoing(io.BufferedIOBase):
    """What a client is sent: whole or, after `WRITE_SECONDS`, `TimeoutError`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: Any) -> int:
        """Send all of it."""
        self._connection.settimeout(WRITE_SECONDS)  # Python counts it over the whole of sendall
        self._connection.sendall(content)
        with memoryview(content) as view:
            return view.nbytes


def hung_up(connection: socket.socket) -> bool:
    """Whether the client has closed its side: nothing else tells while there is nothing to send.

    What it still says is thrown away, since the end of it lies behind.
    """
    connection.setblocking(False)
    try:
        for _ in range(UNHEARD_PIECES):
            if not connection.recv(UNHEARD_BYTES):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False  # it talks and talks: the next look will tell

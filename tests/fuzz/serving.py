"""A server on loopback that answers every request with the same bytes, whatever they are."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Served:
    """What is served; see `serve`."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=8)
        self.port: int = self._socket.getsockname()[1]
        self.content = b""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            client, _ = self._socket.accept()
            with suppress(OSError), client:
                client.settimeout(5.0)
                client.recv(1 << 16)
                client.sendall(self.content)
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):  # closing with unread bytes would be a reset
                    pass


def serve() -> Served:
    """Serve `content` to everyone, until this process ends."""
    return Served()

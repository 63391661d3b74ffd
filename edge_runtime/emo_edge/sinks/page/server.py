"""A bounded HTTP server: a thread for each client, so many and no more, all ended at close."""

from __future__ import annotations

import contextlib
import errno
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from emo_edge.errors import OutputError
from emo_edge.sinks.page.address import Address

MAX_CLIENTS = 32  # connections; a browser that watches holds two to four
JOIN_SECONDS = 2.0  # for all of them: who still reads an upload is left to it
POLL_SECONDS = 0.25  # how long closing may wait for the acceptor
# Small, so that a slow link holds back a picture or two rather than seconds of them.
SEND_BUFFER = 64 * 1024
# A phone that left the network acknowledges nothing, and says nothing either.
UNACKNOWLEDGED_MS = 15_000

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class Server(socketserver.TCPServer):
    """Listens at `address`; from `start` on, each client is answered in a thread of its own.

    Raises:
        OutputError: nobody can listen there: the port is taken, or is reserved for root.
    """

    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, address: Address) -> None:
        self.address_family = address.family
        self._everywhere = address.everywhere
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, threading.Thread] = {}
        try:
            super().__init__((address.ip, address.port), socketserver.BaseRequestHandler)
        except OSError as error:
            raise OutputError(_refusal(address, error)) from error
        self._acceptor = threading.Thread(
            target=self.serve_forever, args=(POLL_SECONDS,), name="page", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that it got."""
        return int(self.server_address[1])

    def start(self, handler: Callable[..., Any]) -> None:
        """Let `handler` (as `socketserver` calls it) answer from now on."""
        self.RequestHandlerClass = handler
        self._acceptor.start()

    def stop(self) -> None:
        """End every conversation and stop listening."""
        self.shutdown()
        with self._lock:
            clients = dict(self._clients)
        for connection in clients:
            _hang_up(connection)
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in clients.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        self.server_close()

    def server_bind(self) -> None:
        """Bind; "[::]" means IPv4 too."""
        if self.address_family == socket.AF_INET6 and self._everywhere:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or refuse at once when there are too many."""
        if not self._begin(request, client_address):
            request.setblocking(False)
            with contextlib.suppress(OSError):  # it will see the connection end
                request.send(BUSY)
            self.shutdown_request(request)

    def _begin(self, request: socket.socket, client_address: Any) -> bool:
        with self._lock:
            if len(self._clients) >= MAX_CLIENTS:
                return False
            thread = threading.Thread(
                target=self._converse, args=(request, client_address), name="page", daemon=True
            )
            self._clients[request] = thread
            try:
                thread.start()
            except RuntimeError:  # the board has no thread to give
                del self._clients[request]
                return False
            return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away or dawdles is no error; a bug keeps its traceback."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def _converse(self, request: socket.socket, client_address: Any) -> None:
        try:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
                request.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            with self._lock:
                del self._clients[request]
            self.shutdown_request(request)


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was gone
        connection.shutdown(socket.SHUT_RDWR)


def _refusal(address: Address, error: OSError) -> str:
    place = f"--serve cannot listen on {address.host} port {address.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{place}: another program does (choose another port)"
    if error.errno == errno.EACCES:
        return f"{place}: ports below 1024 are for root (choose 1024 or above)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{place}: this machine has no such address"
    return f"{place}: {error.strerror or error}"

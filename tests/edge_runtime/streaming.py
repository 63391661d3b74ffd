"""A real MJPEG-over-HTTP server on loopback, in the place of a network camera."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType

import cv2
import numpy as np

from emo_edge.contract import Image

BITS, STRIPE = 12, 16
GARBAGE = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 4000\r\n\r\n" + b"\x5a" * 4000


class Camera(ThreadingHTTPServer):
    """Serves `picture`, or pictures that spell their own number, to everyone who connects.

    Args:
        picture: What the camera sees; None for numbered pictures (see `number_of`).
        frames: After so many frames the camera closes the connection, or stalls.
        stalls: Whether it then keeps the connection open in silence, until `resume` is set.
        garbage: Whether it then sends what is no picture, for as long as someone listens.
        login: User and password, "user:password", without which it refuses.
        port: Where it listens; 0 for any free port.

    """

    daemon_threads = True

    def __init__(
        self,
        picture: Image | None = None,
        frames: int | None = None,
        *,
        stalls: bool = False,
        garbage: bool = False,
        login: str = "",
        port: int = 0,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Stream)
        self.picture, self.frames, self.stalls, self.garbage = picture, frames, stalls, garbage
        self.login = login
        self.resume, self.closing = threading.Event(), threading.Event()
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/stream.mjpg"

    def __enter__(self) -> Camera:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.resume.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error."""


class _Stream(BaseHTTPRequestHandler):
    server: Camera

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(self.server.login.encode()).decode()
        if self.server.login and self.headers["Authorization"] != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in count():
            if self.server.closing.wait(0.01):
                return
            if self.server.frames is not None and number >= self.server.frames:
                if self.server.garbage:
                    self.wfile.write(GARBAGE)
                    continue
                if not self.server.stalls:
                    return
                self.server.resume.wait()
            self._send(numbered(number) if self.server.picture is None else self.server.picture)
            self.server.sent = number + 1

    def _send(self, picture: Image) -> None:
        jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        self.wfile.write(head.encode() + jpeg + b"\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Say nothing."""


def numbered(number: int) -> Image:
    """Draw a number as black and white stripes, which survive JPEG."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8) * 255
    row = np.repeat(bits, STRIPE)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (64, len(row), 3)))


def number_of(picture: Image) -> int:
    """Read the number that `numbered` drew."""
    bits = picture[32, STRIPE // 2 :: STRIPE, 1] > 127
    return sum(int(bit) << place for place, bit in enumerate(bits))

"""A real RTSP server on loopback that plays numbered pictures (RTP/JPEG, interleaved)."""

from __future__ import annotations

import socketserver
import struct
import threading
import time
from itertools import count
from types import TracebackType

import cv2

from edge_runtime.streaming import numbered

SDP = "v=0\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"
PACKET = 1400


class RtspCamera(socketserver.ThreadingTCPServer):
    """Plays pictures that spell their own number (see `streaming.number_of`) to everyone.

    Args:
        frames: After so many frames the camera closes the connection, or stalls.
        stalls: Whether it then keeps the connection open in silence.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, frames: int | None = None, *, stalls: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.frames, self.stalls = frames, stalls
        self.closing = threading.Event()
        self.played = 0

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.server_address[1]}/live"

    def __enter__(self) -> RtspCamera:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error."""


class _Connection(socketserver.StreamRequestHandler):
    server: RtspCamera

    def handle(self) -> None:
        while words := self.rfile.readline().split():
            headers = {}
            while line := self.rfile.readline().strip():
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip().decode()
            self._answer(words[0].decode(), headers)
            if words[0] == b"PLAY":
                return self._play()
        return None

    def _answer(self, method: str, headers: dict[bytes, str]) -> None:
        extra, body = {
            "OPTIONS": ("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""),
            "DESCRIBE": ("Content-Type: application/sdp\r\n", SDP),
            "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", ""),
        }.get(method, ("", ""))
        self.wfile.write(
            f"RTSP/1.0 200 OK\r\nCSeq: {headers[b'cseq']}\r\nSession: 1\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def _play(self) -> None:
        self.server.played += 1
        sequence = count()
        for number in count():
            if self.server.closing.wait(0.02):
                return
            if number == self.server.frames:
                if self.server.stalls:
                    self.server.closing.wait()
                return
            for packet in _packets(number):
                marker = struct.pack(">H", next(sequence) & 0xFFFF)
                data = packet[:2] + marker + packet[4:]
                self.wfile.write(struct.pack(">cBH", b"$", 0, len(data)) + data)
            time.sleep(0)


def _packets(number: int) -> list[bytes]:
    """Return a picture as RTP packets (RFC 2435), their sequence numbers 0."""
    picture = numbered(number)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    tables, scan = b"", b""
    at = 2
    while not scan:
        kind, size = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if kind == 0xDB:
            segment = jpeg[at + 4 : at + 2 + size]
            tables += b"".join(segment[i + 1 : i + 65] for i in range(0, len(segment), 65))
        elif kind == 0xDA:
            scan = jpeg[at + 2 + size : -2]
        at += 2 + size
    height, width = picture.shape[:2]
    packets = []
    for offset in range(0, len(scan), PACKET):
        piece = scan[offset : offset + PACKET]
        last = 0x80 if offset + len(piece) == len(scan) else 0
        head = struct.pack(">BBHII", 0x80, last | 26, 0, number * 3000 & 0xFFFFFFFF, 1)
        head += struct.pack(
            ">B3sBBBB", 0, offset.to_bytes(3, "big"), 1, 255, width // 8, height // 8
        )
        if offset == 0:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        packets.append(head + piece)
    return packets

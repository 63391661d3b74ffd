"""HTTP requests to the page, over a real connection."""

from __future__ import annotations

import random
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge_runtime.visiting import Visited, reading
from emo_edge.errors import UsageError
from emo_edge.sinks.page import routes
from fuzz.damage import damaged
from fuzz.door import Contained, Door
from fuzz.doors import pictures

TOKEN = "a-token-of-32-characters-or-so.."
METHODS = (
    "GET",
    "GET",
    "GET",
    "HEAD",
    "POST",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "get",
    "",
)
PATHS = (
    *routes.ROUTES,
    *(
        "/picture.jpg?after=1",
        "/picture.jpg?after=99999999999999",
        "/?token=" + TOKEN,
        "/?token=%ff",
    ),
    *(
        "*",
        "",
        "//",
        "/../../etc/passwd",
        "/%00",
        "http://[::1",
        "/?" + "a=1&" * 2000,
        "/" + "x" * 9000,
    ),
)
VERSIONS = (
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/1.10",
    "",
    "X",
)
HEADERS = {
    "Host": ("localhost", "127.0.0.1:80", "[::1]", "evil.example", "[", "", "\x80", "a" * 300),
    "Content-Length": ("0", "5", "-1", "+5", "5, 5", "0x5", "9" * 30, "", "\u0665", "1e3"),
    "Content-Type": ("image/jpeg", "text/plain", "image/", "multipart/form-data; boundary=x", ""),
    "Authorization": (f"Bearer {TOKEN}", "Bearer", "Bearer \xff", "Basic Og==", "bearer  x"),
    "Cookie": ("emo-token-80=x", ";;;=", "a" * 5000, "emo-token-80=\xe9"),
    "Expect": ("100-continue", "200-ok"),
    "Transfer-Encoding": ("chunked", "identity", "gzip, chunked"),
    "Connection": ("close", "keep-alive", "upgrade"),
    "If-None-Match": ("*", '"x"', "W/"),
    "X" * 70: ("y",),
    " ": ("folded",),
}


def draw(dice: random.Random) -> bytes:
    said = b"".join(_request(dice) for _ in range(dice.choice((1, 1, 1, 2, 3))))
    return damaged(dice, said) if dice.random() < 0.3 else said


def _request(dice: random.Random) -> bytes:
    odd = dice.choice(("nothing", "method", "path", "version", "all"))
    method = dice.choice(METHODS) if odd in ("method", "all") else "GET"
    path = dice.choice(PATHS) if odd in ("path", "all") else dice.choice(list(routes.ROUTES))
    version = dice.choice(VERSIONS) if odd in ("version", "all") else "HTTP/1.1"
    body = b""
    lines = [f"{method} {path} {version}"]
    if odd != "all" or dice.random() < 0.5:
        lines.append("Host: localhost")
    if dice.random() < 0.4:
        body = dice.choice(pictures.SEEDS) if dice.random() < 0.5 else pictures.draw(dice)
        if dice.random() < 0.7:
            lines[0] = "POST /api/classify HTTP/1.1"
        lines += [f"Content-Length: {len(body)}", "Content-Type: image/jpeg"]
    if dice.random() < 0.5:
        lines.append(f"Authorization: Bearer {TOKEN}")
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2, 200))):
        name = dice.choice(list(HEADERS))
        lines.insert(dice.randint(1, len(lines)), f"{name}: {dice.choice(HEADERS[name])}")
    end = "\r\n" if odd != "all" else dice.choice(("\r\n", "\n", "\r"))
    return (end.join(lines) + end * 2).encode("utf-8") + body


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    routes.PICTURE_SECONDS = 0.01  # visitors of this page do not wait for pictures
    pages = [Visited(), Visited(token=TOKEN)]
    for page in pages:
        page.show(reading())

    def enter(content: bytes) -> None:
        answer = _said(pages[zlib.crc32(content) % 2].port, content)
        if answer:
            assert answer.startswith(b"HTTP/1.1 "), answer[:80]
            code = int(answer[9:12])
            assert code in range(100, 506), answer[:80]
            assert code != 500, answer
        if not answer.startswith(b"HTTP/1.1 2"):
            raise UsageError("refused")

    return enter


def _said(port: int, content: bytes) -> bytes:
    """Return all that comes back until the page hangs up."""
    said = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=30.0) as connection:
        with suppress(OSError):  # who is refused early is hung up on
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while piece := connection.recv(1 << 16):
                said += piece
    return bytes(said)


DOOR = Door("requests", draw, open_door, share=0.25)

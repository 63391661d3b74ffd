"""`emo-edge fetch-detector`: what a server answers, and what lies in the cache."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emo_edge.detectors.fetch import YUNET_BYTES, fetch_yunet, yunet_path
from emo_edge.detectors.yunet import yunet
from emo_edge.errors import ModelError
from fuzz.damage import NUMBERS, damaged
from fuzz.door import Contained, Door
from fuzz.serving import serve

# With the real file some inputs are kept; any other of its size will do for the rest.
YUNET = Path(os.environ.get("EMO_YUNET", ""))
FILE = YUNET.read_bytes() if YUNET.is_file() else random.Random(0).randbytes(YUNET_BYTES)
HEADS = [
    "Content-Length: {size}", "Transfer-Encoding: chunked", "Content-Encoding: gzip",
    "Location: http://127.0.0.1:{port}/again", "Location: file:///etc/passwd", "Location: ",
    "Location: ftp://127.0.0.1/x", "Location: //[", "X: " + "y" * 70_000, "Connection: close",
]  # fmt: skip


def draw(dice: random.Random) -> bytes:
    body = FILE if dice.random() < 0.3 else damaged(dice, FILE)
    size = len(body) if dice.random() < 0.6 else dice.choice((*NUMBERS, -1, 10**30, "x", ""))
    code = dice.choice((200, 200, 200, 206, 301, 307, 401, 404, 500, 999, -1))
    lines = [f"HTTP/1.1 {code} said"]
    for line in dice.sample(HEADS, dice.randint(0, 2)) + HEADS[:1]:
        lines.append(line.format(size=size, port="{port}"))
    head = ("\r\n".join(lines * dice.choice((1, 1, 1, 80))) + "\r\n\r\n").encode()
    return (damaged(dice, head) if dice.random() < 0.3 else head) + body


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    served = serve()
    really = socket.create_connection

    def at_home(address: tuple[str, int], *args: Any, **named: Any) -> socket.socket:
        if address != ("127.0.0.1", served.port):
            raise ConnectionRefusedError("a fuzzer stays at home")
        return really(address, *args, **named)

    socket.create_connection = at_home  # type: ignore[assignment]  # http.client looks it up here

    def enter(content: bytes) -> None:
        served.content = content.replace(b"{port}", b"%d" % served.port)
        yunet_path().unlink(missing_ok=True)
        try:
            fetch_yunet(f"http://127.0.0.1:{served.port}/yunet.onnx")
        finally:
            # What was kept is the file itself, or nothing was.
            assert not yunet_path().exists() or yunet_path().read_bytes() == FILE
        yunet()
        yunet_path().write_bytes(content)
        try:
            yunet()
        except ModelError:
            return
        raise AssertionError("a detector that nobody knows was loaded")

    return enter


DOOR = Door("detectors", draw, open_door, share=0.02)

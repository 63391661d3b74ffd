"""Motion JPEG over HTTP: a network camera that says anything."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from emo_edge.errors import SourceError
from emo_edge.sources import capture
from emo_edge.sources.streams import Stream
from fuzz.damage import NUMBERS, damaged
from fuzz.door import Contained, Door
from fuzz.doors import mjpeg
from fuzz.serving import serve

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
MOST_PICTURES = 50


def draw(dice: random.Random) -> bytes:
    parts = [HEAD if dice.random() < 0.8 else damaged(dice, HEAD)]
    for _ in range(dice.randint(1, 3)):
        picture = dice.choice(mjpeg.JPEGS) if dice.random() < 0.5 else mjpeg.one_damaged(dice)
        length = len(picture) if dice.random() < 0.7 else dice.choice((*NUMBERS, -1))
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n".encode()
        parts.append((head if dice.random() < 0.8 else damaged(dice, head)) + picture + b"\r\n")
    return b"".join(parts)


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    capture.ANSWERS_AT_ONCE = 1  # a stream that has ended does not come back
    served = serve()

    def enter(content: bytes) -> None:
        served.content = content
        stream = Stream(f"http://127.0.0.1:{served.port}/stream.mjpg").open()
        try:
            for _ in range(MOST_PICTURES):
                stream.read()
        except SourceError:  # the end, which may be after none
            pass
        finally:
            stream.close()

    return enter


DOOR = Door("streams", draw, open_door, share=0.01)

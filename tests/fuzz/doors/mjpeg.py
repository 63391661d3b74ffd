"""Motion JPEG as the pipe of a CSI camera and a webcam's driver hand it over."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from emo_edge.sources.jpeg import decode, is_whole
from emo_edge.sources.rpicam import LARGEST_PICTURE, Pictures
from fuzz.damage import damaged
from fuzz.door import Contained, Door
from fuzz.doors import pictures

JPEGS = [content for content in pictures.SEEDS if content.startswith(b"\xff\xd8")]
PIECE = 700


def draw(dice: random.Random) -> bytes:
    stream = b"".join(
        dice.choice(JPEGS) if dice.random() < 0.5 else one_damaged(dice)
        for _ in range(dice.randint(1, 4))
    )
    return damaged(dice, stream, JPEGS) if dice.random() < 0.5 else stream


def one_damaged(dice: random.Random) -> bytes:
    """Return one JPEG picture, damaged."""
    content = dice.choice(JPEGS)
    return pictures.segments(dice, content) if dice.random() < 0.5 else damaged(dice, content)


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    def enter(content: bytes) -> None:
        stream = Pictures()
        for at in range(0, len(content), PIECE):
            stream.add(content[at : at + PIECE])
            while (picture := stream.take()) is not None:
                assert 0 < len(picture) <= LARGEST_PICTURE + PIECE
                if is_whole(picture, ends=False):
                    decode(picture)
        decode(content)

    return enter


DOOR = Door("mjpeg", draw, open_door, share=0.3)

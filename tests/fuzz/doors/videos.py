"""Video files."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from emo_edge.sources.opening import open_source
from fuzz.damage import damaged, number_into
from fuzz.door import Contained, Door
from fuzz.doors.pictures import FACE

MOST_FRAMES = 200


def _video(suffix: str, code: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"v{suffix}")
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, (48, 48))
        for number in range(6):
            writer.write(np.roll(FACE[:48, :48], 3 * number, axis=1))
        writer.release()
        return path.read_bytes()


SEEDS = [_video(*kind) for kind in ((".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "VP80"))]


def draw(dice: random.Random) -> bytes:
    content = dice.choice(SEEDS)
    if dice.random() < 0.4:
        return damaged(dice, content, SEEDS)
    data = bytearray(content)
    for _ in range(dice.randint(1, 4)):  # boxes and indices lie at both ends
        at = dice.choice((dice.randrange(400), len(data) - 1 - dice.randrange(700)))
        number_into(dice, data, min(max(0, at), len(data) - 1))
    return bytes(data)


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    path = folder / "video"

    def enter(content: bytes) -> None:
        path.write_bytes(content)
        with open_source(str(path)) as source:
            for number, frame in enumerate(source.frames):
                assert frame is not None and frame.image.ndim == 3
                if number == MOST_FRAMES:
                    break

    return enter


DOOR = Door("videos", draw, open_door, share=0.03)

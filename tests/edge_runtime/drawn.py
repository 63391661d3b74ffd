"""Drawn faces, scenes and a video for these tests: no data set, no camera, no network."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from emo_edge.contract import Box, Image
from emo_train.synthetic import draw_face, draw_identity

ASSETS = Path(__file__).parents[1] / "assets"
INT8, FLOAT32 = ASSETS / "drawn-int8.tflite", ASSETS / "drawn-float32.tflite"
LABELS = ("angry", "happy", "neutral", "sad", "surprised")
TIMELINE = (("neutral", 1.2), ("happy", 1.2), ("surprised", 1.2))
VIDEO_FPS = 10

SPACING, HEIGHT, SCALE = 210, 240, 70.0


def scene(*expressions: str) -> tuple[Image, list[Box]]:
    """Return a picture with one face per expression, from left to right, and where they are."""
    rng = np.random.default_rng(3)
    picture = np.full((HEIGHT, SPACING * max(1, len(expressions)), 3), 120, np.uint8)
    boxes = []
    for number, expression in enumerate(expressions):
        centre = (SPACING * (number + 0.5), HEIGHT / 2)
        boxes.append(Box(*draw_face(picture, draw_identity(rng), {expression: 1.0}, centre, SCALE)))
    return picture, boxes


def of_schema(version: int, flatbuffer: bytes) -> bytes:
    """Return a model whole in structure that runtimes refuse: they know version 3 alone."""
    content = bytearray(flatbuffer)
    (root,) = struct.unpack_from("<I", content)
    (back,) = struct.unpack_from("<i", content, root)
    (field,) = struct.unpack_from("<H", content, root - back + 4)
    struct.pack_into("<I", content, root + field, version)
    return bytes(content)


def save(path: Path, picture: Image) -> Path:
    """Write a picture in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


def labels_file(path: Path, labels: Sequence[str] = LABELS) -> Path:
    """Write a labels file."""
    path.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    return path


def flipped(content: bytes, position: int, mask: int = 0xFF) -> bytes:
    """Return `content` with the bits of `mask` flipped at `position`."""
    damaged = bytearray(content)
    damaged[position] ^= mask
    return bytes(damaged)

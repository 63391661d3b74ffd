"""Pictures: from a file, and as a visitor of the page sends them."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.drawn import INT8, scene
from emo_edge.contract import Box, Image, Probabilities, prepare, read_image
from emo_edge.detectors import make_detector
from emo_edge.errors import EmoError
from emo_edge.modelfile import read_model
from emo_edge.pipeline import Pipeline
from emo_edge.sinks.page.upload import Reader
from fuzz.damage import NUMBERS, damaged, number_into
from fuzz.door import Contained, Door

FACE = np.ascontiguousarray(cv2.resize(scene("happy")[0], (52, 60)))
OPTIONS: dict[str, list[list[int]]] = {
    ".jpg": [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]],
    ".png": [[], [cv2.IMWRITE_PNG_COMPRESSION, 0]],
    ".webp": [[], [cv2.IMWRITE_WEBP_QUALITY, 101]],
    ".bmp": [[]],
    ".tiff": [[], [cv2.IMWRITE_TIFF_COMPRESSION, 1], [cv2.IMWRITE_TIFF_COMPRESSION, 32946]],
    ".ppm": [[]],
}


def _encoded(suffix: str, options: list[int]) -> bytes:
    deep = suffix in (".png", ".tiff") and not options
    picture = FACE.astype(np.uint16) * 257 if deep else FACE
    return bytes(cv2.imencode(suffix, picture, options)[1])


SEEDS = [_encoded(suffix, chosen) for suffix, each in OPTIONS.items() for chosen in each]
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def draw(dice: random.Random) -> bytes:
    content = dice.choice(SEEDS)
    if dice.random() < 0.5:
        return damaged(dice, content, SEEDS)
    if content.startswith(b"\xff\xd8"):
        return segments(dice, content)
    if content.startswith(b"\x89PNG"):
        return _chunks(dice, content)
    data = bytearray(content)
    for _ in range(dice.randint(1, 3)):  # directories lie at the end of a TIFF
        at = dice.choice((dice.randrange(64), len(data) - 1 - dice.randrange(min(200, len(data)))))
        number_into(dice, data, min(at, len(data) - 1))
    return bytes(data)


def segments(dice: random.Random, content: bytes) -> bytes:
    """Exchange, drop, double or damage segments of a JPEG."""
    parts, at = [content[:2]], 2
    while content[at : at + 2] != b"\xff\xda":
        size = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        parts.append(content[at : at + size])
        at += size
    parts.append(content[at:])
    orientation = EXIF[:-6] + struct.pack(">H", dice.choice((0, 1, 6, 8, 9, 65535))) + EXIF[-4:]
    parts.insert(1, b"\xff\xe1" + struct.pack(">H", len(orientation) + 2) + orientation)
    for _ in range(dice.randint(1, 3)):
        chosen = dice.randrange(1, len(parts))
        how = dice.randrange(5)
        if how == 0:
            parts[chosen] = damaged(dice, parts[chosen])
        elif how == 1:
            data = bytearray(parts[chosen])
            number_into(dice, data, min(dice.randrange(12), len(data) - 1))
            parts[chosen] = bytes(data)
        elif how == 2 and len(parts) > 2:
            del parts[chosen]
        elif how == 3:
            parts.insert(chosen, parts[chosen] * dice.choice((1, 1, 40)))
        else:
            other = dice.randrange(1, len(parts))
            parts[chosen], parts[other] = parts[other], parts[chosen]
    return b"".join(parts)


def _chunks(dice: random.Random, content: bytes) -> bytes:
    """Damage chunks of a PNG and mend their checksums."""
    parts, at = [], 8
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        parts.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    for _ in range(dice.randint(1, 2)):
        chosen = dice.randrange(len(parts))
        kind, body = parts[chosen]
        if kind == b"IHDR" and dice.random() < 0.5:
            data = bytearray(body)
            at = dice.choice((0, 4))
            data[at : at + 4] = struct.pack(">I", dice.choice((*NUMBERS, 1, 7000, 9000)) % 2**32)
            body = bytes(data)
        else:
            body = damaged(dice, body) if body else dice.randbytes(8)
        how = dice.randrange(4)
        parts[chosen] = (dice.choice((kind, kind, b"tRNS", b"PLTE", b"eXIf")), body)
        if how == 0:
            parts.insert(chosen, (kind, body))
    coded = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return content[:8] + b"".join(coded)


def open_door(folder: Path, contained: Contained) -> Callable[[bytes], None]:
    path = folder / "picture"
    spec = read_model(INT8).spec
    assert spec is not None
    answer = np.full(len(spec.labels), 1 / len(spec.labels), np.float32)

    def classify(image: Image, box: Box) -> Probabilities:
        prepare(image, spec, box)  # what a runtime makes of pixels is the door of models
        return answer

    page = Reader(lambda: Pipeline(make_detector("none"), classify, spec, "stills"))

    def enter(content: bytes) -> None:
        path.write_bytes(content)
        try:
            prepare(read_image(path), spec)
        except EmoError:
            page.read(content)
            raise
        page.read(content)

    return enter


DOOR = Door("pictures", draw, open_door, share=0.24)

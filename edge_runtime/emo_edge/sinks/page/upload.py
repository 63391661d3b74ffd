"""One picture that somebody sends to be read: bounded before it is decoded, beside the loop."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from emo_edge.contract import Image
from emo_edge.errors import EmoError
from emo_edge.messages import overheard
from emo_edge.pipeline import Pipeline
from emo_edge.sinks.page.broadcast import face_record
from emo_edge.sinks.page.places import Places
from emo_edge.sources.frame import Frame

MAX_BYTES = 12 * 1024 * 1024
MAX_PIXELS = 50_000_000
# Of the longer side. Larger pictures are decoded at 1/2, 1/4 or 1/8 of their size, which for JPEG
# costs a fraction of the memory; faces down to 1/16 of the picture keep 100 pixels.
DECODED_SIDE = 1600
# A progressive JPEG has about ten scans; each of thousands, a byte or two long, would cost a pass
# over the whole picture.
MAX_SCANS = 64
WAITING = 2  # uploads at a time, the one at work included

MakePipeline = Callable[[], Pipeline]


class PictureError(EmoError):
    """The upload is no picture that this page reads."""


class Reader:
    """Reads uploaded pictures, one at a time, with a detector and an interpreter of its own.

    An interpreter is not thread-safe, and the loop must not wait for an upload. They are made
    at the first upload: a page that nobody gives pictures costs no memory for them.

    Attributes:
        places: For uploads while they are received and read.

    Args:
        make: Makes the pipeline, for pictures that have nothing to do with each other.
    """

    def __init__(self, make: MakePipeline) -> None:
        self._make = make
        self._pipeline: Pipeline | None = None
        self._working = threading.Lock()
        self.places = Places(WAITING)

    def read(self, content: bytes) -> dict[str, Any]:
        """Return width and height as read, faces with boxes therein, and milliseconds, JSON-ready.

        Raises:
            PictureError: not a JPEG, PNG or WebP, too large, or damaged.
        """
        width, height = picture_size(content)
        if width * height > MAX_PIXELS:
            raise PictureError(
                f"the picture has {width}x{height} pixels, more than {MAX_PIXELS / 1e6:.0f} million"
            )
        with self._working:
            began = time.monotonic()
            image = _decode(content, max(width, height))
            if self._pipeline is None:
                self._pipeline = self._make()
            found = self._pipeline(Frame(image, 0, 0.0, began, "upload"))
            spent = time.monotonic() - began
        rows, columns = image.shape[:2]
        return {
            "width": columns,
            "height": rows,
            "faces": [face_record(reading) for reading in found],
            "milliseconds": round(spent * 1000, 1),
        }


def picture_size(content: bytes) -> tuple[int, int]:
    """Return width and height as the header says; raises `PictureError` if it has none."""
    try:
        if content[:3] == b"\xff\xd8\xff":
            return _jpeg_size(content)
        if content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR":
            return struct.unpack_from(">II", content, 16)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp_size(content)
    except (struct.error, IndexError) as error:
        raise PictureError("the picture ends within its header") from error
    raise PictureError("not a JPEG, PNG or WebP picture")


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Read the frame header (ITU T.81, B.2.2); also refuses a picture of very many scans."""
    if content.count(b"\xff\xda") > MAX_SCANS:  # in the coded data every ff is followed by 00
        raise PictureError(f"the JPEG has more than {MAX_SCANS} scans")
    at = 2
    while True:
        if content[at] != 0xFF:
            raise PictureError("the JPEG's header is damaged")
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        elif marker in (0xD9, 0xDA):
            raise PictureError("the JPEG has no frame header")
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            at += 2
        else:
            at += 2 + max(2, struct.unpack_from(">H", content, at + 2)[0])


# SOF0 to SOF15 but DHT, JPG and DAC, which lie between them.
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _webp_size(content: bytes) -> tuple[int, int]:
    """Read the first chunk (RFC 9649): lossy, lossless or extended."""
    kind = content[12:16]
    if kind == b"VP8X":
        word = int.from_bytes(content[24:30].ljust(6, b"\0"), "little")
        return (word & 0xFFFFFF) + 1, (word >> 24) + 1
    if kind == b"VP8L":
        (word,) = struct.unpack_from("<I", content, 21)
        return (word & 0x3FFF) + 1, (word >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise PictureError("not a WebP picture that can be read")


def _decode(content: bytes, longer: int) -> Image:
    reduction = next((r for r in (1, 2, 4) if longer <= r * DECODED_SIDE), 8)
    flag = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }[reduction]
    try:
        with overheard():  # libjpeg tells stderr what the sender should know
            image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error:
        image = None
    if image is None:
        raise PictureError("the picture is damaged")
    return np.asarray(image, np.uint8)

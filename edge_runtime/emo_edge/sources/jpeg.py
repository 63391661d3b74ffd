"""JPEG as cameras send it: where a picture ends, whether it is whole, its pixels."""

from __future__ import annotations

import os
import re

import cv2
import numpy as np

from emo_edge.contract import Image
from emo_edge.messages import overheard

START = b"\xff\xd8\xff"
END = b"\xff\xd9"
SCAN = 0xDA
# In a scan 0xff is data when a zero follows (stuffing) or a restart marker.
MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# ITU-T T.81 B.1.1.3: markers without a length: TEM, RST0-7, SOI.
ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
# What libjpeg says of pictures that lack something (jerror.h: JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE).
DAMAGE = (b"premature end", b"bad huffman code")
# What may follow a scan: DHT, EOI, SOS, DQT, DNL, DRI, COM.
AFTER_SCAN = frozenset({0xC4, 0xD9, SCAN, 0xDB, 0xDC, 0xDD, 0xFE})


def end_of_picture(data: bytes | bytearray, start: int = 0) -> int:
    """Return where the JPEG picture that begins at `start` ends; 0 if it is not complete.

    Walks its segments, so that a thumbnail in the header is not taken for the picture.

    Raises:
        ValueError: this is no JPEG picture.
    """
    if not data.startswith(START[: len(data) - start], start):
        raise ValueError("no JPEG picture begins here")
    at = start + 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError("damaged JPEG segments")
        kind = data[at + 1]
        if kind == END[1]:
            return at + 2
        if kind == 0xFF:  # fill bytes may precede a marker
            at += 1
        elif kind in ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if kind == SCAN:
                marker = MARKER_IN_SCAN.search(data, at)
                if marker is None:
                    return 0
                at = marker.start()
                if data[at + 1] not in AFTER_SCAN:
                    raise ValueError("damaged JPEG scan")
    return at + 2 if data[at : at + 2] == END else 0


def is_whole(data: bytes, *, ends: bool) -> bool:
    """Return whether `data` is one JPEG picture; some cameras never send the end marker.

    Damage within the compressed pixels is seen where it looks like a marker, which noise does
    after some hundred bytes.
    """
    try:
        return end_of_picture(data) > 0 or not ends
    except ValueError:
        return False


def decode(data: bytes) -> tuple[Image | None, bool]:
    """Return uint8[H,W,3] BGR, or None if the decoder gives up, and whether all of it was there.

    Of what is missing libjpeg tells stderr alone, as of what does no harm: cameras that fill their
    pictures up would write a line a frame.
    """
    if data.rfind(END) < 0:  # from a camera that never sends it; OpenCV 4.12+ insists
        data += END
    with overheard() as held:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            return None, False
        said = os.pread(held.fileno(), 200, 0).lower()
    if image is None:
        return None, False
    return np.asarray(image, np.uint8), not any(words in said for words in DAMAGE)

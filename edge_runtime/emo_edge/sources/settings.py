"""What is asked of a camera, and how patient one is with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from emo_edge.errors import UsageError

LARGEST_SIDE = 8192


@dataclass(frozen=True)
class Asked:
    """What is asked of a camera; drivers give what they can.

    Attributes:
        width: Pixels.
        height: Pixels.
        fps: Frames per second; None for the camera's own choice.
    """

    width: int = 640
    height: int = 480
    fps: float | None = None


@dataclass(frozen=True)
class Patience:
    """When a camera counts as lost, and how often it is tried again. Seconds.

    Attributes:
        opening: From opening to the first frame.
        silence: Without a frame; a webcam in the dark may take a second for one.
        frozen: The same picture from a sensor, whose noise makes no two alike.
        steady: Of delivering, after which a loss is a new one and is followed by a try at once.
        first_pause: Before the second try; each further pause is twice as long.
        longest_pause: Between tries.
        stuck: That a thread which was told to end may hold the device before it is given up.
    """

    opening: float = 15.0
    silence: float = 5.0
    frozen: float = 10.0
    steady: float = 10.0
    first_pause: float = 0.5
    longest_pause: float = 30.0
    stuck: float = 10.0


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height of "WxH" in pixels; raises `UsageError`."""
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text.strip())
    if match is None or not all(16 <= int(side) <= LARGEST_SIDE for side in match.groups()):
        raise UsageError(f"--size takes WIDTHxHEIGHT in pixels, such as 640x480, not {text!r}")
    return int(match[1]), int(match[2])

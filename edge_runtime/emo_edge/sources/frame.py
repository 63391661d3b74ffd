"""What a source is, and what it yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from emo_edge.contract import Image

Kind = Literal["live", "video", "stills"]


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        image: uint8[H,W,3] BGR.
        index: Number of the frame in its source, from 0; a live source skips some.
        captured_at: Seconds on the source's clock: `time.monotonic` for a live source, the position
            in the recording for a video, the index for pictures.
        grabbed_at: `time.monotonic` seconds at which it was captured, or read from a file.
        name: File name of a picture, else the name of the source.
    """

    image: Image
    index: int
    captured_at: float
    grabbed_at: float
    name: str


@dataclass(frozen=True)
class Source:
    """An open source.

    Attributes:
        name: What the user asked for, without credentials.
        kind: "live" (newest frame, older ones skipped), "video" (every frame, in order) or
            "stills" (pictures that have nothing to do with each other).
        fps: Nominal frames per second (1 for pictures).
        frames: The frames. A live source also yields None whenever nothing new came for about a
            second, and never ends: a camera that is lost is opened again until it is back.
    """

    name: str
    kind: Kind
    fps: float
    frames: Iterator[Frame | None]

"""How hard the loop may work: read at every frame, turned by whoever must save heat or power."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Pace:
    """The loop's speed.

    Attributes:
        max_fps: Frames analysed a second, at most; None for no limit.
        search_stretch: How many times longer than measured best the search of a whole picture for
            new faces may wait; at least 1.
    """

    max_fps: float | None = None
    search_stretch: float = 1.0
